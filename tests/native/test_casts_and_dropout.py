"""What a type or a probability hardly holds: casts of any float, rare dropout."""

import numpy as np
import pytest

from slimlearn.backend import engine, ops, reference
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

FLOATS = [
    *(np.nan, -np.inf, np.inf, 0.0, -0.0, 0.9, -0.9, 254.7, 255.0, 256.0, -1.0),
    *(2.0**31, -(2.0**31), 2.0**31 - 1, -(2.0**31) - 1, 2147483520.0),
    *(2.0**63, -(2.0**63), 2.0**62, 1e30, -1e30, 9223371487098961920.0),
]


def native(model, sources, **options):
    program = Program(model=model)
    return engine.compile(print_program(model)).run("f", sources, program, **options)


def nearest(x, dtype):
    """By Python's integers, which have no bounds."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if np.isnan(x) or x < low:
        return low
    return high if x > high else min(int(x), high)


@pytest.mark.parametrize("source", ["f4", "f8"])
@pytest.mark.parametrize("target", ["i32", "i64", "u8"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_cast_of_any_float(source, target, alone):
    x = np.array(FLOATS, source)
    dtype = {"i32": np.int32, "i64": np.int64, "u8": np.uint8}[target]
    model = Model()
    with model.function("f") as graph:
        given = ops.input_("X", (B,), "f32" if source == "f4" else "f64")
        graph.return_(ops.cast(given if alone else ops.neg(ops.neg(given)), target))
    want = np.array([nearest(float(v), dtype) for v in x], dtype)
    [got] = native(model, {"X": x})
    [by_numpy] = reference.run(model, "f", {"X": x}, {}).returns
    np.testing.assert_array_equal(by_numpy, want)
    np.testing.assert_array_equal(got, want)
    assert got.dtype == by_numpy.dtype == dtype


def dropping(keep_prob, width, precision):
    model = Model(precision)
    with model.function("f") as graph:
        x = ops.input_("X", (B, width), precision)
        graph.return_(ops.dropout(x, keep_prob))
    return model


@pytest.mark.parametrize("keep_prob", [3e-6, 2.2e-5, 1e-3, 0.3, 1 - 4e-6, 1.0])
def test_dropout_keeps_as_many_as_it_says(keep_prob):
    x = np.ones((1 << 9, 1 << 13), np.float32)
    model = dropping(keep_prob, x.shape[1], "f32")
    kept, steps = 0, 4
    for step in range(steps):
        [result] = native(model, {"X": x}, step=step)
        kept += np.count_nonzero(result)
        scale = np.float32(1) / np.float32(keep_prob)
        assert set(np.unique(result)) <= {np.float32(0), scale}
    n = steps * x.size
    keep = float(np.float32(keep_prob))
    assert abs(kept - n * keep) <= 5 * np.sqrt(n * keep * (1 - keep))


@pytest.mark.parametrize("keep_prob", [1e-5, 0.9, 0.5, 1 - 4e-6])
@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("width", [1, 63, 4100])
def test_dropout_at_the_edge_is_numpy_s(keep_prob, precision, width):
    rows = 250_000 // width
    x = np.ones((rows, width), {"f32": np.float32, "f64": np.float64}[precision])
    model = dropping(keep_prob, width, precision)
    [got] = native(model, {"X": x}, seed=3, step=5)
    [want] = reference.run(model, "f", {"X": x}, {}, seed=3, step=5).returns
    np.testing.assert_array_equal(got, want)
