"""Accuracy of the elementary functions in ulp, and their values at the edges."""

import numpy as np
import pytest
from scipy import special
from support.native_run import ISAS, apply

from slimlearn.backend.op import emit

pytestmark = pytest.mark.parametrize("isa", ISAS)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


# op: exact function, bound in ulp, ranges
FUNCTIONS = {
    "exp": (np.exp, 2, [(-87, 88), (-1, 1)]),
    "expm1": (np.expm1, 4, [(-20, 80), (-1, 1)]),
    "log": (np.log, 2, [(1e-6, 2), (0.9, 1.1), (1e-30, 1e30)]),
    "log1p": (np.log1p, 4, [(-0.9999, 2), (-1e-4, 1e-4), (-0.5, 1e9)]),
    "tanh": (np.tanh, 4, [(-12, 12), (-1, 1), (-1e-2, 1e-2)]),
    "sigmoid": (sigmoid, 2, [(-86, 30), (-2, 2)]),
    "softplus": (softplus, 4, [(-80, 20), (-1, 1)]),
    "sqrt": (np.sqrt, 0.5, [(0, 10), (0, 1e30)]),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 2, [(1e-3, 10), (1e-20, 1e20)]),
    "reciprocal": (lambda x: 1 / x, 0.5, [(1e-3, 10), (-1e20, -1e-20)]),
    "sin": (np.sin, 2, [(-10, 10)]),
    "cos": (np.cos, 2, [(-10, 10)]),
}
FLOAT32_ONLY = {  # the exact function is at hand in float64 only
    "erf": (special.erf, 4, [(-1, 1), (-5, 5)]),
    "erfinv": (special.erfinv, 4, [(-0.999, 0.999), (0.99, 1)]),
}


def evaluate(name, x, isa):
    return apply(lambda x: emit(name, (x,)), {"x": x}, isa)


def worst_ulp(name, exact, low, high, dtype, isa):
    x = np.random.default_rng(0).uniform(low, high, 20011).astype(dtype)
    x = x[(x > low) & (x < high)]
    wide = np.float64 if dtype == np.float32 else np.longdouble
    want = exact(x.astype(wide))
    normal = np.abs(want) >= np.finfo(dtype).tiny
    spacing = np.spacing(np.abs(want[normal]).astype(dtype)).astype(wide)
    got = evaluate(name, x, isa).astype(wide)
    return float(np.max(np.abs(got[normal] - want[normal]) / spacing))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_ulp(name, dtype, isa):
    if dtype == np.float64 and np.finfo(np.longdouble).eps > 1e-17:
        pytest.skip("long double is no wider than double here")
    exact, bound, ranges = FUNCTIONS[name]
    for low, high in ranges:
        # a little over half an ulp: the exact value itself is rounded once
        assert worst_ulp(name, exact, low, high, dtype, isa) <= bound + 0.01


@pytest.mark.parametrize("name", FLOAT32_ONLY)
def test_ulp_float32(name, isa):
    exact, bound, ranges = FLOAT32_ONLY[name]
    for low, high in ranges:
        assert worst_ulp(name, exact, low, high, np.float32, isa) <= bound


EDGES = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-30, 100, -100])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_edges(name, dtype, isa):
    x = EDGES.astype(dtype)
    with np.errstate(all="ignore"):
        want = FUNCTIONS[name][0](x.astype(np.float64)).astype(dtype)
    got = evaluate(name, x, isa)
    want = np.where(np.abs(want) < np.finfo(dtype).tiny, 0, want)  # may be flushed
    got = np.where(np.abs(got) < np.finfo(dtype).tiny, 0, got)
    np.testing.assert_allclose(got, want, rtol=8 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "erf", "softplus"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_place_does_not_matter(name, dtype, isa):
    x = np.random.default_rng(1).uniform(0.1, 3, 533).astype(dtype)
    whole = evaluate(name, x, isa)
    for first, last in [(0, 1), (1, 18), (7, 8), (500, 533)]:
        part = evaluate(name, x[first:last], isa)
        assert part.tobytes() == whole[first:last].tobytes()
