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
    # around 8192, or 1.5e6 in float64, libm takes over
    "sin": (np.sin, 2.4, [(-1, 1), (-10, 10), (-1e4, 1e4), (-2e6, 2e6), (-1e30, 1e30)]),
    "cos": (np.cos, 2.4, [(-1, 1), (-10, 10), (-1e4, 1e4), (-2e6, 2e6), (-1e30, 1e30)]),
}
# Of erfinv to 25 digits: x is exact in float64.
ERFINV = {
    2.0**-60: "7.686793263128235389062745e-19",
    0.0078125: "0.006923758491549613708080246",
    0.27734375: "0.2509599912867229532141146",
    0.5: "0.4769362762044698733814184",
    0.8046875: "0.9157191255702045494419108",
    0.9921875: "1.880951745473139420588378",
    1 - 2.0**-11: "2.465754958722754873547497",
    1 - 2.0**-18: "3.267703778589618033822524",
    1 - 2.0**-24: "3.832506856900710909458261",
    1 - 2.0**-30: "4.328028275800946455371663",
    1 - 2.0**-44: "5.314017270169746857266847",
    1 - 2.0**-53: "5.863584748755167927207663",
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


def test_erfinv_in_float64(isa):
    x = np.array(list(ERFINV))
    x = np.concatenate([x, -x])
    want = np.array(list(ERFINV.values())).astype(np.longdouble)
    want = np.concatenate([want, -want])
    got = evaluate("erfinv", x, isa)
    assert np.max(np.abs(got - want) / np.spacing(np.abs(got))) <= 4
    # scipy's own are up to 2.5 ulp off
    x = np.random.default_rng(0).uniform(-1, 1, 20011)
    want = special.erfinv(x)
    got = evaluate("erfinv", x, isa)
    assert np.max(np.abs(got - want) / np.spacing(np.abs(want))) <= 6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_angles_next_to_quarter_turns(name, dtype, isa):
    if dtype == np.float64 and np.finfo(np.longdouble).eps > 1e-17:
        pytest.skip("long double is no wider than double here")
    turns = np.concatenate([np.arange(1, 5300), np.arange(5300, 950_000, 7)])
    angles = turns * np.arctan2(np.longdouble(1), np.longdouble(0))
    x = angles.astype(dtype)
    steps = np.arange(-30, 31) * np.spacing(x[:5300, None])
    x = np.concatenate([x, (x[:5300, None] + steps).ravel()])
    wide = np.float64 if dtype == np.float32 else np.longdouble
    want = getattr(np, name)(x.astype(wide))
    error = np.abs(evaluate(name, x, isa) - want) / np.spacing(
        np.abs(want).astype(dtype)
    )
    assert error.max() <= 2.41


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_magnitude_of_angle(dtype, isa):
    if dtype == np.float64 and np.finfo(np.longdouble).eps > 1e-17:
        pytest.skip("long double is no wider than double here")
    info = np.finfo(dtype)
    powers = np.random.default_rng(0).uniform(info.minexp, info.maxexp, 20011)
    x = np.exp2(powers).astype(dtype)
    wide = np.float64 if dtype == np.float32 else np.longdouble
    for name in ("sin", "cos"):
        want = getattr(np, name)(x.astype(wide))
        spacing = np.spacing(np.abs(want).astype(dtype)).astype(wide)
        assert np.max(np.abs(evaluate(name, x, isa) - want) / spacing) <= 2.01


def test_pow_is_numpy_s(isa):
    rng = np.random.default_rng(0)
    edges = [0, 1, 2, 0.5, 3, 1e30, 1e-30, np.inf, np.nan]
    edges = np.array([*edges, *np.negative(edges)])
    a = np.concatenate(
        [np.repeat(edges, len(edges)), np.exp(rng.uniform(-9, 9, 20011))]
    )
    b = np.concatenate([np.tile(edges, len(edges)), rng.uniform(-9, 9, 20011)])
    for dtype, bound in ((np.float32, 1), (np.float64, 2)):
        x, y = a.astype(dtype), b.astype(dtype)
        with np.errstate(all="ignore"):
            want = np.power(x.astype(np.longdouble), y.astype(np.longdouble))
            near = want.astype(dtype)
        got = apply(lambda x, y: emit("pow", (x, y)), {"x": x, "y": y}, isa)
        plain = np.isfinite(near) & (np.abs(near) > np.finfo(dtype).tiny)
        error = np.abs(got[plain] - want[plain]) / np.spacing(np.abs(near[plain]))
        assert error.max() <= bound
        np.testing.assert_array_equal(got[~plain], near[~plain])
        signed = ~plain & ~np.isnan(near)
        np.testing.assert_array_equal(np.signbit(got[signed]), np.signbit(near[signed]))


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


PLACES = ["exp", "log", "tanh", "sigmoid", "erf", "softplus", "sin", "cos", "erfinv"]


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_place_does_not_matter(name, dtype, isa):
    x = np.random.default_rng(1).uniform(0.1, 3, 533).astype(dtype)
    if name == "erfinv":
        x = 1 - np.exp(-5 * x)  # lanes of the middle beside lanes of the tail
    elif name in ("sin", "cos"):
        x[::5] *= 1e7  # lanes that libm takes beside those it does not
    whole = evaluate(name, x, isa)
    for first, last in [(0, 1), (1, 18), (7, 8), (500, 533)]:
        part = evaluate(name, x[first:last], isa)
        assert part.tobytes() == whole[first:last].tobytes()
