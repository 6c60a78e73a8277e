"""Loops and rows of several lengths on a GPU, or by its kernels on the host."""

import numpy as np
import pytest
import test_ragged
from support.cuda import CUDA
from support.training_case import data, network
from test_cuda_training import train_alike

from slimlearn import NetworkRegressor, SequenceClassifier
from slimlearn import layers as slim
from slimlearn.backend import engine, ops, reference
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B

SEED, STEP = 7, 2**33 + 5


def made(build, x, kind):
    """What the device makes of rows, and what the reference does."""
    model = Model(kind)
    with model.function("f") as graph:
        graph.return_(*build(ops.input_("X", (B, *x.shape[1:]), kind)))
    known = {"seed": SEED, "step": STEP}
    want = reference.run(model, "f", {"X": x}, {}, **known).returns
    compiled = engine.compile(str(model), device=CUDA)
    return compiled.run("f", {"X": x}, Program(model=model), **known), want


def test_slices_of_any_type_across_any_axis():
    def build(x):

        def step(total, slices):
            some, positive = slices
            total = ops.where(positive, total + some, total * 0.5)
            return total, (total, ops.logical_not(positive))

        start = ops.reduce_sum(x, 1) * 0.0
        total, stacked = ops.scan(step, start, (x, x > 0), axis=1, reverse=True)
        return total, *stacked

    x = np.random.default_rng(0).normal(size=(7, 5, 3))
    for a, b in zip(*made(build, x, "f64"), strict=True):
        np.testing.assert_allclose(a, b, 1e-12)


def test_a_loop_of_a_function_without_inputs():
    model = Model("f64")
    start = model.parameter("start", (3,))
    with model.function("f") as graph:
        graph.return_(
            *ops.while_loop(
                lambda now: ops.reduce_sum(now[0]) < 100.0,
                lambda now: (now[0] * 2, now[1] + 1.0),
                (start, ops.constant(0.0, "f64")),
            )
        )
    program = Program(model=model)
    program.weights["start"][:] = 1, 2, 3
    found, count = engine.compile(str(model), device=CUDA).run("f", {}, program)
    np.testing.assert_array_equal(found, [32, 64, 96])
    assert count == 5


def test_steps_of_loops_draw_the_bits_of_the_reference():
    def build(x):
        def inner(carry, _):
            return carry, ops.dropout(ops.ones_like(x), 0.25)

        def outer(carry, _):
            before = ops.random_uniform(x.shape)
            _, found = ops.scan(inner, x, length=4, reverse=True)
            return carry, (before, found, ops.random_uniform(x.shape))

        _, found = ops.scan(outer, x, length=3)
        return *found, ops.random_uniform(x.shape)

    x = np.random.default_rng(6).normal(size=(6, 5)).astype("f4")
    for a, b in zip(*made(build, x, "f32"), strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("padding", [0.0, np.nan, -np.inf])
@pytest.mark.parametrize("rows", [60, 65, 5])
def test_rows_of_several_lengths_train_alike(rows, padding):
    sources = test_ragged.sources(rows, padding=padding)
    train_alike(test_ragged.network(norm=rows == 65), sources, "f64")


def test_ids_of_several_lengths_train_alike():
    sources = test_ragged.sources(40, padding=-99, ids=True)
    train_alike(test_ragged.network(ids=True), sources, "f64")


def test_branches_in_training():
    model = network("f64", branches=True, dropout=True)
    train_alike(model, data(50), "f64", hypers={"keep_prob": 0.7})


def unrolled(x):
    def step(h, x):
        h = slim.fully_connected(ops.concat([h, x], -1), 5, scope="cell")
        return ops.dropout(h, 0.8), h

    return ops.scan(step, ops.zeros((B, 5)), x, axis=1)[0]


def decided(x):
    """As many steps as the batch's rows ask for."""

    def step(state):
        i, h = state
        return i + 1, slim.fully_connected(h, 5, scope="cell")

    def more(state):
        return state[0] < 2 + ops.cast(ops.reduce_max(x) > 2, "i32")

    start = slim.fully_connected(x[:, 0], 5)
    return ops.while_loop(more, step, (ops.constant(0, "i32"), start), 9)[1]


def gated(x):
    return slim.lstm(x, 4, recurrent_dropout=0.2)


@pytest.mark.parametrize("net", [unrolled, decided, gated])
@pytest.mark.filterwarnings("ignore:.*without converging")
def test_loops_in_training(net):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(45, 18))
    y = X[:, ::3].sum(axis=1)

    def network_(x, num_outputs):
        return slim.linear(net(ops.reshape(x, (-1, 6, 3))), num_outputs)

    there, here = (
        NetworkRegressor(
            network_, max_iter=2, batch_size=16, random_state=0, device=device
        ).fit(X, y)
        for device in (CUDA, "cpu")
    )
    near = {"rtol": 2e-3, "atol": 2e-4}
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, **near)
    np.testing.assert_allclose(there.predict(X), here.predict(X), **near)


def test_steps_in_parts_of_several_lengths():
    """Each part of a step has the recording of its own longest row."""
    rng = np.random.default_rng(0)
    X = np.empty(50, object)
    X[:] = [rng.normal(size=(n, 3)) for n in rng.integers(2, 9, 50)]
    y = rng.integers(0, 2, 50)
    options = {"max_iter": 2, "batch_size": 8, "accumulate": 2, "random_state": 0}
    there, here = (
        SequenceClassifier(
            net=lambda x: slim.gru(x, 4), device=device, precision="float64", **options
        ).fit(X, y)
        for device in (CUDA, "cpu")
    )
    for name, array in here.program_.weights.items():
        np.testing.assert_allclose(there.program_.weights[name], array, 0, 1e-12)
