"""Networks of sparse rows: which layers and ops take them, and what they train."""

import numpy as np
import pytest
from scipy import sparse

from slimlearn import layers
from slimlearn.backend import engine, ops
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.optimizer import Adagrad, Adam
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.layers.initializers import build_init

FEATURES = 40


def built(dtype: str, network, optimizer) -> Program:
    """Return a program that trains `network` on a weighted squared error.

    Gradients are kept as rows where the optimizer and the product allow it.
    """
    model = Model("f32")
    for name in ("predict", "grad"):
        with model.function(name, training=name == "grad") as graph:
            weight = graph.sample_weight = ops.input_("sample_weight", (B,))
            output = network(ops.input_("X", (B, FEATURES), dtype))
            if name == "predict":
                graph.return_(ops.cast(output, "f64"))
                continue
            error = ops.square(output - ops.input_("y", (B, 1)))
            error = ops.reshape(error, (B,)) * weight
            total = ops.reduce_sum(ops.cast(error, "f64"))
            rows = ops.extent(B)
            graph.return_(total / rows, total, rows)
            parameters = list(model.parameters)
            for parameter, slope in zip(
                parameters, gradients(total, parameters), strict=True
            ):
                if optimizer.keeps_rows(False, False) and ops.can_be_rows(slope):
                    slope = ops.rows(slope)
                graph.grad_(parameter, slope)
    build_init(model)
    optimizer.build(model)
    return Program(model=model).initialize(5)


def layer_hypers(program: Program) -> dict:
    """Return the numbers that layers asked for, such as dropout's."""
    hypers = program.model.hypers
    return {hyper.name: hyper.value for hyper in hypers if hyper.value is not None}


def deep(x):
    x = layers.fully_connected(x, 24, normalizer_fn=layers.batch_norm)
    x = layers.dropout(x, 0.8)
    x = layers.fully_connected(x, 9, activation_fn="tanh")
    return layers.fully_connected(x, 1, activation_fn=None)


def wide(x):
    first = layers.fully_connected(x, 7, weights_regularizer=layers.l2_regularizer(0.1))
    return layers.linear(first, 1) + layers.linear(x, 1)


def turned(x):
    """Its plans are exact: the last batch, which is smaller, has one of its own."""
    by_unit = ops.transpose(layers.fully_connected(x, 6))
    return layers.linear(ops.transpose(ops.tanh(by_unit)), 1)


def linear(x):
    return layers.linear(x, 1)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("optimizer", [Adam(), Adagrad()], ids=repr)
@pytest.mark.parametrize("network", [deep, wide, turned, linear])
def test_layers_train_as_on_dense_rows(network, optimizer, n_threads):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((83, FEATURES)).astype("f4")
    x[rng.random(x.shape) < 0.8] = 0
    sources = {
        "y": rng.standard_normal((83, 1)),
        "sample_weight": rng.uniform(0, 2, 83),
    }
    trained = []
    for dtype, form in (("csr f32", sparse.csr_matrix), ("f32", np.asarray)):
        program = built(dtype, network, optimizer)
        before = program.params.copy()
        trainer = engine.compile(program.text).trainer(
            program,
            {**sources, "X": form(x)},
            batch_size=16,
            hypers={**optimizer.hypers(), **layer_hypers(program)},
            n_threads=n_threads,
        )
        for epoch in range(3):
            steps = trainer.info()["steps"]
            trainer.epoch(epoch, epoch * steps, np.full(steps, 1e-2))
        assert not np.array_equal(program.params, before)
        trained.append(program)
    np.testing.assert_array_equal(trained[0].params, trained[1].params)
    np.testing.assert_array_equal(trained[0].state, trained[1].state)


REFUSED = {
    "dropout": lambda x: layers.dropout(x),
    "flatten": lambda x: layers.flatten(x),
    "batch_norm": lambda x: layers.batch_norm(x),
    "softmax": lambda x: layers.softmax(x),
    "bias_add": lambda x: layers.bias_add(x),
    "embedding": lambda x: layers.embedding(x, 9, 3),
    "add": lambda x: x + 1.0,
    "mul": lambda x: x * x,
    "neg": lambda x: -x,
    "matmul": lambda x: x @ x,
    "reshape": lambda x: ops.reshape(x, (-1,)),
    "transpose": lambda x: ops.transpose(x),
    "slice": lambda x: x[:, :3],
    "concat": lambda x: ops.concat((x, x), 1),
    "reduce_sum": lambda x: ops.reduce_sum(x),
    "cast": lambda x: ops.cast(x, "f64"),
    "identity": lambda x: ops.identity(x),
    "stop_gradient": lambda x: ops.stop_gradient(x),
    "gather": lambda x: ops.gather(x, ops.constant_list([0])),
    "argmax": lambda x: ops.argmax(x, 1),
    "softmax_cross_entropy": lambda x: ops.softmax_cross_entropy(x, x),
    "select": lambda x: ops.select(ops.constant(True, "bool"), x, x),
    "the right operand": lambda x: ops.constant(1.0, "f32", (B, 20)) + x,
}


@pytest.mark.parametrize("what", REFUSED)
def test_all_others_refuse_sparse_rows_with_advice(what):
    advice = r"%X is csr f32\[B,20\]: only fully_connected and ops\.csr_matmul take"
    with Model().function("f"):
        x = ops.input_("X", (B, 20), "csr f32")
        with pytest.raises((ValueError, TypeError), match=advice):
            REFUSED[what](x)


def test_sparse_rows_are_data_without_gradient():
    model = Model()
    with model.function("f"):
        x = ops.input_("X", (B, 4), "csr f32")
        w = model.parameter("w", (4, 3))
        y = ops.csr_matmul(x, w)
        with pytest.raises(ValueError, match=r"%X is csr .* data and have no gradient"):
            gradients(y, [w, x])
        assert ops.csr_transpose(ops.csr_transpose(x)) is x


def test_only_a_product_s_gradient_is_kept_as_rows():
    model = Model()
    with model.function("grad"):
        x = ops.input_("X", (B, 4), "csr f32")
        w, v = model.parameter("w", (4, 3)), model.parameter("v", (4, 3))
        y = ops.csr_matmul(x, w) + ops.csr_matmul(x, v) * ops.csr_matmul(x, v)
        once, twice = gradients(y, [w, v])
        assert ops.can_be_rows(once)
        assert not ops.can_be_rows(twice)
        assert ops.rows(once).dtype == "rows f32"
        with pytest.raises(ValueError, match="no product of transposed sparse rows"):
            ops.rows(twice)


def test_rows_are_for_gradients_alone():
    model = Model()
    with model.function("grad") as graph:
        x = ops.input_("X", (B, 4), "csr f32")
        w, state = model.parameter("w", (4, 3)), model.state("s", (4, 3))
        compact = ops.rows(gradients(ops.csr_matmul(x, w), w)[0])
        with pytest.raises(ValueError, match=r"needs f32\[4,3\], .* is rows f32"):
            graph.set_(state, compact)
        with pytest.raises(ValueError, match="dense"):
            graph.return_(compact)
        graph.grad_(w, compact)


def test_a_gradient_kept_as_rows_is_not_returned_by_a_run():
    model = Model()
    with model.function("grad") as graph:
        x = ops.input_("X", (B, 4), "csr f32")
        w = model.parameter("w", (4, 3))
        y = ops.csr_matmul(x, w)
        graph.grad_(w, ops.rows(gradients(y, w)[0]))
        graph.return_(ops.reduce_sum(y))
    program = Program(model=model)
    with pytest.raises(ValueError, match=r"\[grad w\] is kept as rows"):
        engine.compile(program.text).run("grad", {"X": sparse.eye(4).tocsr()}, program)


def test_the_short_road_of_predict_wants_dense_rows():
    model = Model()
    with model.function("predict") as graph:
        x = ops.input_("X", (B, 4), "csr f32")
        graph.return_(ops.csr_matmul(x, model.parameter("w", (4, 3))))
    program = Program(model=model)
    with pytest.raises(ValueError, match="no short road"):
        engine.compile(program.text).predictor("predict", program)
