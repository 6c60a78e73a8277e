"""Rows of different length: batches of like length, as NumPy trains and alone."""

import numpy as np
import pytest
from support.training_case import Case
from test_trainer import compare

from slimlearn import layers
from slimlearn.backend import engine, ops
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer import Adam
from slimlearn.backend.program import Program
from slimlearn.backend.ragged import Ragged
from slimlearn.backend.shape import B, symbol
from slimlearn.layers.initializers import build_init
from slimlearn.layers.sequence import know_lengths, without_padding

T = symbol("T")
FEATURES, CLASSES = 3, 2


def network(precision="f64", *, norm=False, split=False, ids=False, pool="mean"):
    """A model: convolution, pooling over time, softmax cross-entropy."""
    model = Model(precision)

    def logits():
        if ids:
            x = ops.input_("X", (B, T), "i32")
        else:
            x = ops.input_("X", (B, T, FEATURES), precision)
        know_lengths("T", ops.input_("lengths", (B,), "i32"))
        x = without_padding(x, 0)
        if ids:
            x = layers.embedding(x, 11, 4)
        net = layers.conv1d(x, 6, 3)
        if norm:
            net = layers.batch_norm(net)
        net = layers.max_pool1d(net, 2, padding="SAME")
        net = layers.layer_norm(net, epsilon=1e-3)
        net = layers.sequence_pool(net, pool)
        return layers.linear(net, CLASSES)

    with model.function("predict") as graph:
        graph.return_(ops.cast(logits(), "f64"))
    for name in ("score", "grad"):
        with model.function(name, training=name == "grad") as graph:
            weight = ops.input_("sample_weight", (B,), precision)
            if name == "grad":
                graph.sample_weight = weight
            each = ops.sparse_softmax_cross_entropy(
                logits(), ops.input_("y", (B,), "i32")
            )
            total = ops.reduce_sum(ops.cast(each * weight, "f64"))
            weights = ops.reduce_sum(ops.cast(weight, "f64"))
            if name == "score":
                graph.return_(total, weights)
                continue
            rows = model.hyper("global_rows") if split else ops.extent(B, "f64")
            graph.return_(total / rows, total, weights)
            objective = total / rows
            for p, slope in zip(
                model.parameters, gradients([objective], list(model.parameters))
            ):
                graph.grad_(p, slope)
    build_init(model)
    Adam().build(model)
    return model


def sources(rows=60, precision="f64", padding=0.0, sizes=(4, 7, 12), ids=False):
    rng = np.random.default_rng(rows)
    lengths = rng.integers(1, 13, rows)
    lengths[:1] = 12
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    dtype = "f4" if precision == "f32" else "f8"
    values = rng.standard_normal((offsets[-1], FEATURES)).astype(dtype)
    if ids:
        values = rng.integers(0, 11, offsets[-1])
    return {
        "X": Ragged(values, offsets, sizes, padding),
        "lengths": lengths.astype("i4"),
        "y": (rng.random(rows) < 0.5).astype("i4"),
        "sample_weight": rng.uniform(0.5, 1.5, rows),
    }


@pytest.mark.parametrize("rows", [60, 64, 65, 33, 5, 1])
@pytest.mark.parametrize("precision", ["f64", "f32"])
@pytest.mark.parametrize("norm", [False, True])
def test_training_is_numpy_s_step_for_step(precision, rows, norm):
    case = Case(network(precision, norm=norm), sources(rows, precision), batch_size=16)
    near = {"rtol": 2e-3, "atol": 2e-4} if precision == "f32" else {}
    compare(case, epochs=2, **near)


@pytest.mark.parametrize("pool", ["max", "last", "attention"])
def test_each_pooling_trains_as_numpy_s(pool):
    compare(Case(network(pool=pool), sources(), batch_size=16), epochs=2)


@pytest.mark.parametrize(
    "options",
    [
        {"accumulate": 3},
        {"shuffle": False},
        {"index": np.arange(7, 50, 2)},
    ],
    ids=str,
)
def test_options_train_as_numpy_s(options):
    case = Case(network(split=True), sources(), batch_size=8, **options)
    compare(case, epochs=2)


def test_ids_train_as_numpy_s():
    compare(Case(network(ids=True), sources(ids=True), batch_size=16), epochs=2)


def weights_after(made, precision="f32", threads=1, epochs=2, **options):
    model = network(precision, norm=True, **options)
    case = Case(model, made, batch_size=16, n_threads=threads)
    losses = case.train(epochs)
    return losses, case.program.params.tobytes(), case.program.state.tobytes()


@pytest.mark.parametrize("padding", [np.nan, np.inf, -7e8])
@pytest.mark.parametrize("pool", ["mean", "max", "last", "attention"])
def test_padding_has_no_part_in_training(padding, pool):
    plain = weights_after(sources(60, "f32"), pool=pool)
    assert weights_after(sources(60, "f32", padding), pool=pool) == plain


def test_padding_of_ids_has_no_part_in_training():
    plain = weights_after(sources(60, "f32", ids=True), ids=True)
    assert weights_after(sources(60, "f32", 10, ids=True), ids=True) == plain
    assert weights_after(sources(60, "f32", -99, ids=True), ids=True) == plain


def test_bits_do_not_depend_on_threads():
    made = sources(300, "f32")
    assert weights_after(made, threads=1) == weights_after(made, threads=3)


def predictor(precision="f32", **options):
    program = Program(model=network(precision, **options)).initialize(3)
    compiled = engine.compile(program.text)

    def run(func, made, rows=None, batch=None):
        return compiled.run(func, made, program, rows=rows, batch=batch)

    return run


@pytest.mark.parametrize("padding", [0.0, np.nan, 1e9])
def test_a_row_s_result_depends_on_the_row_alone(padding):
    run, made = predictor(), sources(50, "f32")
    (whole,) = run("predict", made)
    made["X"].padding = padding
    np.testing.assert_array_equal(run("predict", made)[0], whole)
    rows = np.array([9, 3, 30, 3])
    np.testing.assert_array_equal(run("predict", made, rows)[0], whole[rows])
    for row in range(5):
        (one,) = run("predict", made, np.array([row]))
        np.testing.assert_array_equal(one[0], whole[row])
    (chunks,) = run("predict", made, batch=3)
    np.testing.assert_array_equal(chunks, whole)


def test_more_padding_changes_nothing_but_roundings():
    run, made = predictor("f64"), sources(50)
    (whole,) = run("predict", made)
    for sizes in [(12,), (40,), (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)]:
        other = {**made, "X": Ragged(made["X"].values, made["X"].offsets, sizes)}
        np.testing.assert_allclose(run("predict", other)[0], whole, rtol=1e-12)


def test_sums_are_those_of_all_rows():
    run, made = predictor("f64"), sources(50)
    loss, weight = run("score", made)
    rows = [run("score", made, np.array([row])) for row in range(50)]
    np.testing.assert_allclose(loss, sum(r[0] for r in rows))
    np.testing.assert_allclose(weight, sum(r[1] for r in rows))


def test_no_rows_give_no_results():
    run, made = predictor(), sources(5)
    (none,) = run("predict", made, np.array([], dtype=np.int64))
    assert none.shape == (0, CLASSES)


def test_values_and_offsets_are_not_copied():
    made = sources(200, "f32")
    case = Case(network("f32"), made, batch_size=16)
    trainer = case.trainer()
    before = case.train(1, rate=0.0, trainer=trainer)
    made["X"].values[:] = 0
    assert case.train(1, rate=0.0, trainer=trainer) != before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: Ragged(x.values[::2], x.offsets, x.sizes), "C order|must rise"),
        (lambda x: Ragged(x.values, x.offsets[::-1].copy(), x.sizes), "must rise"),
        (lambda x: Ragged(x.values, x.offsets.astype("i4"), x.sizes), "int64"),
        (lambda x: Ragged(x.values, x.offsets, (7, 4)), "1 to 255 rising"),
        (lambda x: Ragged(x.values, x.offsets, (0, 12)), "1 to 255 rising"),
        (lambda x: Ragged(x.values, x.offsets, (6,)), "row 0 has 12 steps, a batch"),
        (lambda x: Ragged(x.values[:, :2].copy(), x.offsets, x.sizes), "needed is"),
    ],
)
def test_mistakes_are_named(change, words):
    made = sources()
    made["X"] = change(made["X"])
    if "rising" not in words:
        with pytest.raises(ValueError, match=words):
            predictor()("predict", made)
    with pytest.raises(ValueError, match=words):
        Case(network(), made).train(1)


def test_sources_agree_on_how_many_lengths_there_are():
    model = Model("f32")
    with model.function("predict") as graph:
        x, z = (ops.input_(name, (B, T, 1)) for name in "XZ")
        graph.return_(ops.reduce_sum(x + z, [1]))
    program = Program(model=model)
    compiled = engine.compile(program.text)
    values, offsets = np.ones((7, 1), "f4"), np.array([0, 2, 7])
    both = {"X": Ragged(values, offsets, (2, 5)), "Z": Ragged(values, offsets, (2, 5))}
    (total,) = compiled.run("predict", both, program)
    np.testing.assert_array_equal(total, [[4.0], [10.0]])
