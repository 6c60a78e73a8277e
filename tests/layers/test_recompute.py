"""Blocks that are computed anew for the backward pass: same bits, less memory."""

import contextlib

import numpy as np
import pytest
from support.cuda import CUDA
from support.training_case import Case, data

from slimlearn import NetworkClassifier, network
from slimlearn import layers as slim
from slimlearn.backend import engine, ops
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer import Adam
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import parse_program, print_program
from slimlearn.layers.initializers import build_init

SIDE, CHANNELS, CLASSES = 8, 3, 4
FEATURES = SIDE * SIDE * CHANNELS


def dense(x, depth, block):
    for i in range(depth):
        with block():
            x = slim.fully_connected(x, 24, normalizer_fn=slim.batch_norm)
            x = slim.dropout(slim.fully_connected(x, 24, ops.tanh), 0.8, scope=f"d{i}")
    return x


def units(x, depth, block):
    x = ops.reshape(x, (-1, SIDE, SIDE, CHANNELS))
    normed = {"normalizer_fn": slim.batch_norm, "normalizer_params": {"scale": True}}
    x = slim.conv2d(x, 8, 3, scope="stem")
    for i in range(depth):
        with block(), slim.variable_scope(f"unit{i}"):
            y = slim.conv2d(x, 8, 3, scope="conv1", **normed)
            y = slim.dropout(y, 0.9)
            y = slim.conv2d(y, 8, 3, activation_fn=None, scope="conv2", **normed)
            x = ops.relu(x + y)
    return slim.global_pool(x)


def pooled(x, depth, block):
    """Max pooling, group norm, noise, and a value read outside of its block."""
    x = ops.reshape(x, (-1, SIDE, SIDE, CHANNELS))
    side = 0
    for i in range(depth):
        with block():
            x = slim.group_norm(slim.conv2d(x, 8, 3, scope=f"conv{i}"), 4)
            x = x + 0.1 * ops.random_normal(x.shape, x.dtype)
            inner = slim.max_pool2d(x, 3, stride=1, padding="SAME")
            x = ops.sigmoid(inner) * x
        side = side + ops.reduce_mean(inner, (1, 2))
    return slim.flatten(x) if depth == 0 else slim.global_pool(x) + side


def chosen(x, depth, block):
    """A cond inside the block, and a block inside a branch."""

    def branch(x, scope):
        with block():
            return ops.tanh(slim.fully_connected(x, 24, ops.exp, scope=scope))

    for i in range(depth):
        with block():
            x = slim.fully_connected(x, 24, ops.tanh, scope=f"fc{i}")
            x = ops.cond(
                ops.reduce_mean(x) > 0,
                lambda x=x, i=i: branch(x, f"then{i}"),
                lambda x=x: x * 2.0,
            )
    return x


TOWERS = [dense, units, pooled, chosen]


def case(tower, depth, marked, precision="f32", rows=37, **options):
    """Return a classifier of images with its arrays."""
    block = slim.recompute if marked else contextlib.nullcontext
    model = Model(precision)

    def logits(x):
        return slim.fully_connected(tower(x, depth, block), CLASSES, None, scope="out")

    for name in ("predict", "grad"):
        with model.function(name, training=name == "grad") as graph:
            raw = logits(ops.input_("X", (B, FEATURES), precision))
            if name == "predict":
                graph.return_(raw)
                continue
            labels = ops.input_("y", (B,), "i32")
            each = ops.sparse_softmax_cross_entropy(raw, labels)
            total = ops.reduce_sum(ops.cast(each, "f64"))
            rows_ = ops.extent(B, "f64")
            graph.return_(total / rows_, total, rows_)
            slopes = gradients([total / rows_], list(model.parameters))
            for parameter, slope in zip(model.parameters, slopes, strict=True):
                if slope is not None:
                    graph.grad_(parameter, slope)
    build_init(model)
    Adam().build(model)
    sources = data(rows, precision, features=FEATURES, classes=CLASSES)
    sources = {"X": sources["X"], "y": sources["y"]}
    hypers = {h.name: h.value for h in model.hypers if h.value is not None}
    return Case(model, sources, hypers=hypers, **options)


def trained(made, **changes):
    losses = made.train(2, **changes)
    return losses, made.program.params.tobytes(), made.program.state.tobytes()


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("tower", TOWERS)
def test_training_has_the_same_bits(tower, depth, precision):
    kept = trained(case(tower, depth, False, precision))
    anew = case(tower, depth, True, precision)
    assert "recompute(" in anew.program.text
    assert trained(anew) == kept
    assert trained(case(tower, depth, True, precision), n_threads=2) == kept


@pytest.mark.parametrize("tower", TOWERS)
def test_native_and_numpy_training_agree(tower):
    made = case(tower, 2, True, "f64", batch_size=16)
    assert "recompute(" in made.program.text
    oracle, twin = made.oracle()
    trainer = made.trainer()
    made.train(1, trainer=trainer)
    oracle.epoch(0, 0, np.full(trainer.info()["steps"], 1e-2))
    found, wanted = (p.params.view(np.float64) for p in (made.program, twin))
    np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-9)


def test_on_a_gpu_the_bits_are_the_same_too():
    kept, anew = (case(dense, 1, marked) for marked in (False, True))
    for made in (kept, anew):
        made.compiled = engine.compile(made.program.text, device=CUDA)
    assert trained(anew) == trained(kept)


@pytest.mark.parametrize("tower", [dense, units, pooled])
def test_memory_does_not_grow_as_fast_with_depth(tower):
    def bytes_of(depth, marked):
        info = case(tower, depth, marked, rows=64, batch_size=64).trainer().info()
        return info["arena_bytes"]

    def growth(marked):
        return (bytes_of(16, marked) - bytes_of(4, marked)) / 12

    # What a block gives is kept; of its values that are computed anew, none.
    assert growth(True) < 0.6 * growth(False)


def test_memory_of_a_block_is_that_of_what_it_gives():
    """Ten layers of a width of 24 in each block: one value of 24 is kept of it."""

    def tower(x, depth, block):
        for _ in range(depth):
            with block():
                x = slim.repeat(x, 10, slim.fully_connected, 24, ops.sin)
        return x

    rows = 512
    few, many = (
        case(tower, d, True, rows=rows, batch_size=rows).trainer().info()["arena_bytes"]
        for d in (4, 14)
    )
    each = rows * 24 * 4
    assert many - few < 10 * 1.1 * each


GOLDEN = """\
func grad {
  %X = input(source="X") : f32[B,3]
  %tanh = tanh(%X) : f32[B,3]
  %matmul = matmul(%tanh, %w, transpose_a=false, transpose_b=false) : f32[B,3]
  %exp = exp(%matmul) : f32[B,3]
  %y = matmul(%exp, %w, transpose_a=false, transpose_b=false) : f32[B,3]
  %square = square(%y) : f32[B,3]
  %reduce_sum = reduce_sum(%square, axes=[0, 1], keepdims=false) : f32[]
  %constant = constant(value=1.0) : f32[]
  %square.g/constant = constant(value=2.0) : f32[]
  %square.g/mul = mul(%constant, %square.g/constant) : f32[]
  %square.g/mul_1 = mul(%square.g/mul, %y) : f32[B,3]
  %X.again = recompute(%X, %square.g/mul_1) : f32[B,3]
  %tanh.again = tanh(%X.again) : f32[B,3]
  %matmul.again = matmul(%tanh.again, %w, transpose_a=false, transpose_b=false) : f32[B,3]
  %exp.again = exp(%matmul.again) : f32[B,3]
  %y.g/matmul = matmul(%square.g/mul_1, %w, transpose_a=false, transpose_b=true) : f32[B,3]
  %y.g/matmul_1 = matmul(%exp.again, %square.g/mul_1, transpose_a=true, transpose_b=false) : f32[3,3]
  %exp.g/mul = mul(%y.g/matmul, %exp.again) : f32[B,3]
  %matmul.g/matmul = matmul(%tanh.again, %exp.g/mul, transpose_a=true, transpose_b=false) : f32[3,3]
  %matmul.g/add = add(%y.g/matmul_1, %matmul.g/matmul) : f32[3,3]
  grad %w = %matmul.g/add
  return %reduce_sum
}
"""  # noqa: E501


def test_the_program_s_text_says_what_is_computed_anew():
    model = Model("f32")
    with model.function("grad", training=True) as graph:
        x = ops.input_("X", (B, 3), "f32")
        w = model.parameter("w", (3, 3))
        with slim.recompute():
            y = ops.exp(ops.matmul(ops.tanh(x), w))
            y = ops.matmul(y, w, name="y")
        graph.return_(ops.reduce_sum(ops.square(y)))
        graph.grad_(w, gradients(graph.returns, [w])[0])
    text = print_program(model)
    assert text[text.index("func") :] == GOLDEN
    assert print_program(parse_program(text)) == text


def convolved(x, **options):
    x = ops.reshape(x, (-1, SIDE, SIDE, CHANNELS))
    for i in range(3):
        x = slim.conv2d(
            x, 8, 3, scope=f"conv{i}", normalizer_fn=slim.batch_norm, **options
        )
    return slim.global_pool(x)


def by_argument(x, depth, block):
    return convolved(x, recompute=True)


def by_scope(x, depth, block):
    with slim.arg_scope([slim.conv2d], recompute=True):
        return convolved(x)


def by_blocks(x, depth, block):
    x = ops.reshape(x, (-1, SIDE, SIDE, CHANNELS))
    for i in range(3):
        with slim.recompute():
            x = slim.conv2d(x, 8, 3, scope=f"conv{i}", normalizer_fn=slim.batch_norm)
    return slim.global_pool(x)


def by_nested_blocks(x, depth, block):
    x = ops.reshape(x, (-1, SIDE, SIDE, CHANNELS))
    for i in range(3):
        with slim.recompute(), slim.recompute():
            x = slim.conv2d(
                x, 8, 3, scope=f"conv{i}", normalizer_fn=slim.batch_norm, recompute=True
            )
    return slim.global_pool(x)


def test_an_argument_a_scope_and_a_block_are_the_same():
    texts = {
        tower.__name__: case(tower, 1, True).program.text
        for tower in (by_argument, by_scope, by_blocks, by_nested_blocks)
    }
    assert "recompute(" in texts["by_blocks"]
    assert len(set(texts.values())) == 1, texts


def test_a_layer_of_one_s_own_has_its_own_argument_of_that_name():
    @slim.add_arg_scope
    def layer(x, recompute="none"):
        return x, recompute

    assert layer(1, recompute="all") == (1, "all")


def test_a_block_ends_where_an_error_leaves_it():
    with Model("f32").function("f") as graph:
        with pytest.raises(KeyError), slim.recompute():
            raise KeyError
        assert graph.block is None


def test_averages_are_updated_once():
    text = str(case(units, 2, True).program.text).partition("func grad")[2]
    text = text.partition("\nfunc")[0]
    sets = [line.split()[1] for line in text.splitlines() if line.startswith("  set ")]
    assert len(sets) == len(set(sets)) > 0


def test_second_derivatives_pass_through_a_block():
    x0 = np.linspace(-1, 1, 12, dtype=np.float64).reshape(4, 3)

    def second(block):
        model = Model("f64")
        with model.function("f") as graph:
            x = ops.input_("X", (B, 3), "f64")
            with block():
                y = ops.exp(ops.tanh(x) * x)
                y = ops.sin(y)
            (first,) = gradients([ops.square(y)], [x])
            (again,) = gradients([first], [x])
            graph.return_(again)
        text = print_program(model)
        compiled = engine.compile(text)
        return compiled.run("f", {"X": x0}, Program(text, model=model))[0]

    # Other ways to the sum of the same terms.
    np.testing.assert_allclose(
        second(slim.recompute), second(contextlib.nullcontext), rtol=1e-13
    )


def test_estimators_train_the_same(tmp_path):
    X, y = data(60, "f32", features=FEATURES, classes=CLASSES), None
    X, y = X["X"], X["y"]

    def net(x, num_classes, marked=True):
        block = slim.recompute if marked else contextlib.nullcontext
        return slim.fully_connected(units(x, 2, block), num_classes, None)

    fitted = [
        NetworkClassifier(network(net)(marked=m), max_iter=2, random_state=0).fit(X, y)
        for m in (True, False)
    ]
    one, other = (f.predict_proba(X) for f in fitted)
    np.testing.assert_array_equal(one, other)
    assert fitted[0].program_.weights.keys() == fitted[1].program_.weights.keys()
