"""Contractions over the batch: as exact as NumPy's, in many tasks, of the same bits."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.native_run import ISAS, apply
from support.training_case import Case, data, network

from slimlearn.backend import engine, ops
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

FOUR_ULP = 2.5e-7  # of float32: what luck alone decides


def off(got, want):
    """Return the largest relative error; all terms are positive."""
    return np.max(np.abs(np.asarray(got, "f8") - want) / want)


def compiled_of(build, shapes, precision="f32", isa=None):
    model = Model(precision)
    with model.function("f") as graph:
        tensors = [ops.input_(n, (B, *s), precision) for n, s in shapes.items()]
        graph.return_(*build(*tensors))
    text = print_program(model)
    return engine.compile(text, isa=isa), Program(text, model=model)


def tasks(compiled, rows):
    return [tasks for _, _, tasks in compiled.info("f", rows)["steps"]]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    "m, n, rows",
    [
        (1, 1, 10**6),
        (7, 7, 10**6),
        (7, 1, 10**6),
        (1, 64, 10**6 // 4),
        (64, 7, 10**6 // 4),
        (64, 64, 10**6 // 8),
        (100, 40, 10**5),
    ],
)
def test_a_weight_gradient_of_many_rows_is_exact(m, n, rows, isa):
    rng = np.random.default_rng(m + n)
    x = rng.uniform(size=(rows, m)).astype("f4")
    g = rng.uniform(size=(rows, n)).astype("f4")
    want = sum(
        x[i : i + 50000].astype("f8").T @ g[i : i + 50000].astype("f8")
        for i in range(0, rows, 50000)
    )
    got = apply(
        lambda x, g: ops.matmul(x, g, True, False), {"x": x, "g": g}, isa, batch=rows
    )
    assert off(got, want) <= max(off(x.T @ g, want), 2 * FOUR_ULP)


TOTALS = {
    "total": (lambda x: ops.reduce_sum(x), lambda x: x.sum()),
    "squares": (lambda x: ops.reduce_sum(ops.square(x)), lambda x: (x * x).sum()),
    "fused": (
        lambda x: ops.reduce_sum(ops.maximum(x, 0.05) * ops.square(x)),
        lambda x: (x * (x * x)).sum(),
    ),
}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("batch", [3 * 10**6, None])
@pytest.mark.parametrize("name", TOTALS)
def test_a_total_of_many_values_is_exact(name, batch, isa):
    build, numpy = TOTALS[name]
    rng = np.random.default_rng(0)
    for x in (np.full(3 * 10**6, 0.1, "f4"), rng.uniform(0.1, 1, 3 * 10**6)):
        x = x.astype("f4")
        want = numpy(x.astype("f8"))
        got = apply(build, {"x": x}, isa, batch=batch)
        assert off(got, want) <= max(2 * off(numpy(x), want), FOUR_ULP)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 2)])
def test_sums_over_long_axes_are_exact(axes, isa):
    rng = np.random.default_rng(0)
    shapes = {(0,): (300_000, 9), (1,): (3, 900_000), (0, 2): (100_000, 3, 9)}
    for x in (np.full(shapes[axes], 0.1), rng.uniform(size=shapes[axes])):
        x = x.astype("f4")
        want = x.astype("f8").sum(axes)
        got = apply(lambda x: ops.reduce_sum(x, axes), {"x": x}, isa, batch=len(x))
        assert off(got, want) <= max(2 * off(x.sum(axes), want), 5 * FOUR_ULP)


@pytest.mark.parametrize("isa", ISAS)
def test_float64_is_exact_too(isa):
    x = np.full(3 * 10**6, 0.1)
    for build, term in (
        (lambda x: ops.reduce_sum(x), 0.1),
        (lambda x: ops.reduce_sum(ops.maximum(x, 0.05) * x), 0.1 * 0.1),
    ):
        got = apply(build, {"x": x}, isa, batch=len(x))
        assert off(got, term * len(x)) < 1e-14


def moments(x):
    """Return a batch norm's sums over all axes but the last."""
    axes = tuple(range(len(x.shape) - 1))
    return ops.reduce_sum(x, axes), ops.reduce_sum(ops.square(x), axes)


def pointwise_gradient(x, g):
    """Return the weight gradient of a 1x1 convolution."""
    flat = [ops.reshape(t, (B * 56 * 56, 64)) for t in (x, g)]
    return (ops.matmul(*flat, True, False),)


@pytest.mark.parametrize("isa", ISAS)
def test_images_have_tasks_for_many_lanes(isa):
    image = (56, 56, 64)
    sums, _ = compiled_of(moments, {"x": image}, isa=isa)
    assert tasks(sums, 8) == [8, 1]
    product, _ = compiled_of(pointwise_gradient, {"x": image, "g": image}, isa=isa)
    assert tasks(product, 8) == [8, 1]


@pytest.mark.parametrize("isa", ISAS)
def test_a_row_by_a_large_matrix_has_tasks_for_many_lanes(isa):
    model = Model("f32")
    with model.function("f") as graph:
        x = ops.input_("x", (B, 1024), "f32")
        graph.return_(ops.matmul(x, model.parameter("w", (1024, 1000))))
    compiled = engine.compile(print_program(model), isa=isa)
    assert tasks(compiled, 1) == [8]


ARRAYS = {"x": (64,), "y": (64,), "v": ()}


def arrays(rows):
    rng = np.random.default_rng(0)
    return {n: rng.standard_normal((rows, *s)).astype("f4") for n, s in ARRAYS.items()}


def everything(x, y, v):
    total = ops.reduce_sum(ops.sigmoid(x) * x)
    gradient = ops.matmul(x, y, True, False)
    return (
        gradient,
        gradient * total,
        ops.reduce_sum(x, 0),
        ops.reduce_sum(ops.square(y), 0),
        ops.reduce_max(x, 0),
        ops.reduce_sum(x * y, (0, 1)),
        ops.reduce_sum(ops.exp(v)) / ops.reduce_sum(v * ops.tanh(v)),
        ops.tanh(v),
    )


def test_small_batches_have_one_launch_each():
    compiled, _ = compiled_of(everything, ARRAYS)
    for rows, cut in ((256, False), (40_000, True)):
        steps = compiled.info("f", rows)["steps"]
        assert (len({name for name, *_ in steps}) < len(steps)) == cut


BITS = """
import hashlib
import test_slices as tests

compiled, program = tests.compiled_of(tests.everything, tests.ARRAYS)
made = tests.arrays(30_011)
for n_threads in (1, 2, 3, 8):
    got = compiled.run("f", made, program, n_threads=n_threads)
    print(hashlib.sha1(b"".join(a.tobytes() for a in got)).hexdigest())
"""


def test_no_number_of_threads_changes_a_bit():
    folder = Path(__file__).parent
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "8",
        "PYTHONPATH": os.pathsep.join([str(folder), str(folder.parent)]),
    }
    done = subprocess.run(
        [sys.executable, "-c", BITS],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(set(done.stdout.split())) == 1, done.stdout


@pytest.mark.parametrize("isa", ISAS)
def test_slices_are_what_the_whole_is(isa):
    compiled, program = compiled_of(everything, ARRAYS, isa=isa)
    made = arrays(30_011)
    got = compiled.run("f", made, program)
    a, b, c = (array.astype("f8") for array in made.values())
    total = (a / (1 + np.exp(-a))).sum()
    want = (
        a.T @ b,
        a.T @ b * total,
        a.sum(0),
        (b * b).sum(0),
        a.max(0),
        (a * b).sum(),
        np.exp(c).sum() / (c * np.tanh(c)).sum(),
        np.tanh(c),
    )
    for mine, theirs in zip(got, want, strict=True):
        atol = 1e-6 * np.abs(theirs).max()
        np.testing.assert_allclose(mine, theirs, rtol=2e-5, atol=atol)


def test_workspace_is_there_for_its_node_alone():
    def some(count):
        def build(x, g):
            pairs = [(x, g), (g, x), (x, x), (g, g)][:count]
            return tuple(ops.matmul(*pair, True, False) for pair in pairs)

        compiled, _ = compiled_of(build, {"x": (64,), "g": (64,)})
        return compiled.info("f", 40_000)

    one, four = some(1), some(4)
    values, workspace = 2 * 40_000 * 64 * 4, 8 * 64 * 64 * 4
    assert one["arena_bytes"] >= values + workspace
    assert four["arena_bytes"] < one["arena_bytes"] + workspace


@pytest.mark.parametrize("rows", [80_000, 80_300])  # a tail that is not cut
def test_training_on_large_batches_is_numpy_s(rows):
    case = Case(network(center=True), data(rows), batch_size=40_000)
    oracle, twin = case.oracle()
    trainer = case.trainer()
    steps = trainer.info()["steps"]
    before = trainer.info()["allocations"]
    for epoch in range(2):
        rates = np.full(steps, 1e-2)
        mine = trainer.epoch(epoch, epoch * steps, rates)
        theirs = oracle.epoch(epoch, epoch * steps, rates)
        np.testing.assert_allclose(mine.loss, theirs.loss, rtol=1e-9)
    assert trainer.info()["allocations"] == before
    small = Case(network(center=True), data(100)).trainer().info()["launches"]
    assert trainer.info()["launches"] > small
    for name, weights in case.program.weights.items():
        np.testing.assert_allclose(weights, twin.weights[name], rtol=1e-8, atol=1e-10)
