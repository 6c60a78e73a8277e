"""Slopes at corners: kinks, ties, infinities, denormals, exponents 0 and 1.

Right is what calculus says, not what either engine's formula gives: a limit where there
is one, at kinks the slope that the op's docstring chooses.
"""

import numpy as np
import pytest

from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.op import OPS, emit
from slimlearn.backend.ops.binary import Binary
from slimlearn.backend.ops.unary import Unary
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

INF, NAN = np.inf, np.nan
E = np.e
# Slopes at -inf, -1, 0, 1, inf.
UNARY = {
    "abs": (-1, -1, 0, 1, 1),
    "ceil": None,
    "cos": (NAN, np.sin(1), 0, -np.sin(1), NAN),
    "erf": (0, 2 / E / np.pi**0.5, 2 / np.pi**0.5, 2 / E / np.pi**0.5, 0),
    "erfinv": (NAN, INF, np.pi**0.5 / 2, INF, NAN),
    "exp": (0, 1 / E, 1, E, INF),
    "expm1": (0, 1 / E, 1, E, INF),
    "floor": None,
    "identity": (1, 1, 1, 1, 1),
    "is_finite": None,
    "log": (NAN, NAN, INF, 1, 0),
    "log1p": (NAN, INF, 1, 0.5, 0),
    "logical_not": None,
    "neg": (-1, -1, -1, -1, -1),
    "reciprocal": (0, -1, -INF, -1, 0),
    "relu": (0, 0, 0, 1, 1),
    "round": None,
    "rsqrt": (NAN, NAN, -INF, -0.5, 0),
    "sigmoid": (0, E / (1 + E) ** 2, 0.25, E / (1 + E) ** 2, 0),
    "sign": None,
    "sin": (NAN, np.cos(1), 1, np.cos(1), NAN),
    "softplus": (0, 1 / (1 + E), 0.5, E / (1 + E), 1),
    "sqrt": (NAN, NAN, INF, 0.5, 0),
    "square": (-INF, -2, 0, 2, INF),
    "stop_gradient": None,
    "round_bfloat16": None,
    "round_float16": None,
    "tanh": (0, 1 - np.tanh(1) ** 2, 1, 1 - np.tanh(1) ** 2, 0),
    "cast": (1, 1, 1, 1, 1),
}
# Outside of the domain an op may have any slope.
OUTSIDE = {"log": 2, "log1p": 1, "sqrt": 2, "rsqrt": 2, "erfinv": 0}
# (a, b): slopes in a and in b.
BINARY = {
    "add": {(0, 0): (1, 1), (INF, 1): (1, 1)},
    "sub": {(0, 0): (1, -1), (INF, 1): (1, -1)},
    "mul": {(0, 0): (0, 0), (0, INF): (INF, 0), (1, -0.0): (0, 1)},
    "div": {(0, 1): (1, 0), (1, INF): (0, 0), (0, INF): (0, 0), (1, 0): (INF, -INF)},
    "pow": {
        (0, 0): (0, 0),
        (0, 1): (1, 0),
        (0, 2): (0, 0),
        (0, 3): (0, 0),
        (0, 0.5): (INF, 0),
        (0, -1): (-INF, 0),
        (1, 0): (0, 0),
        (2, 0): (0, np.log(2)),
        (2, 1): (1, 2 * np.log(2)),
        (-2, 0): (0, 0),
        (-2, 1): (1, 0),
        (-2, 2): (-4, 0),
        (INF, 0): (0, INF),
        (INF, 1): (1, INF),
        (-INF, 0): (0, 0),
        (1e-310, 0): (0, None),
        (1e-310, 1): (1, 0),
    },
    "maximum": {(0, 0): (1, 0), (INF, INF): (1, 0), (0, 1): (0, 1)},
    "minimum": {(0, 0): (1, 0), (-INF, -INF): (1, 0), (0, 1): (1, 0)},
    "relu_grad": {(2, 0): (0, None), (2, 1): (1, None)},
    "sigmoid_cross_entropy": {
        (0, 0): (0.5, 0),
        (0, 1): (-0.5, 0),
        (800, 1): (0, -800),
        (-800, 1): (-1, 800),
        (INF, 0): (1, None),
        (-INF, 0): (0, None),
        (INF, 1): (0, None),
    },
    **dict.fromkeys(
        ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
    ),
    **dict.fromkeys(("logical_and", "logical_or")),
}


def slopes(build, arrays, precision):
    """By numpy and by the kernels: gradients of the sum of what `build` gives."""
    model = Model(precision)
    with model.function("f") as graph:
        xs = [ops.input_(n, (B, *a.shape[1:]), precision) for n, a in arrays.items()]
        found = gradients(ops.reduce_sum(build(*xs)), xs)
        if all(slope is None for slope in found):
            return None
        graph.return_(
            *(x if slope is None else slope for x, slope in zip(xs, found, strict=True))
        )
    with np.errstate(all="ignore"):
        by_numpy = reference.run(model, "f", arrays, {}).returns
    compiled = engine.compile(print_program(model))
    native = compiled.run("f", arrays, Program(model=model))
    return [np.stack(both) for both in zip(by_numpy, native, strict=True)]


def column(values, precision):
    return np.array(values, {"f32": "f4", "f64": "f8"}[precision])[:, None]


def kinds(base):
    return {n for n, op in OPS.items() if isinstance(op, base)}


def test_no_elementwise_op_is_left_out():
    assert kinds(Unary) == set(UNARY)
    assert kinds(Binary) == set(BINARY)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_of_one_operand(name, precision):
    x = column([-INF, -1, 0, 1, INF, -0.0, 1e-310, -1e-310], precision)
    if name in ("logical_not", "is_finite"):  # what they give is no float
        return
    options = {"cast": ("f64" if precision == "f32" else "f32",)}.get(name, ())
    found = slopes(lambda x: getattr(ops, name)(x, *options), {"x": x}, precision)
    if UNARY[name] is None:
        assert found is None or not np.any(found[0])
        return
    for got in found[0][..., 0]:
        first = OUTSIDE.get(name, 0)
        with np.errstate(all="ignore"):
            want = np.array(UNARY[name], got.dtype)
        np.testing.assert_allclose(got[first:5], want[first:], rtol=2e-6, atol=1e-45)
        # Denormals may be zeros of their sign; a zero of either sign is a zero.
        if first < 2 and name not in ("abs", "relu", "reciprocal"):
            np.testing.assert_allclose(got[5:], want[2], rtol=2e-6, atol=1e-300)


@pytest.mark.parametrize("name", [name for name in BINARY if BINARY[name]])
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_of_two_operands(name, precision):
    table = BINARY[name]
    a, b = (column([pair[i] for pair in table], precision) for i in range(2))
    found = slopes(lambda a, b: emit(name, (a, b)), {"a": a, "b": b}, precision)
    for index in range(2):
        for got in found[index][..., 0]:
            for pair, slope, want in zip(table, got, table.values(), strict=True):
                if want[index] is None:
                    continue
                assert slope == pytest.approx(want[index], rel=2e-6, abs=1e-300), pair


@pytest.mark.parametrize("b", [0, 1, 2, 3, 0.5, -1, 1.5])
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_of_a_constant_exponent(b, precision):
    a = column([0.0, 1.0, 2.0, 1e-310, INF], precision)
    [found] = slopes(lambda a: a**b, {"a": a}, precision)
    for got in found[..., 0]:
        with np.errstate(all="ignore"):
            want = b * a[:, 0] ** got.dtype.type(b - 1) if b else np.zeros(5)
        near = 4 if b in (0, 1, 2, 3) else 3
        picked = [0, 1, 2, 3][:near] + [4]
        np.testing.assert_allclose(got[picked], want[picked], rtol=2e-6, atol=1e-300)


@pytest.mark.parametrize("b", [0.0, 1.0, 2.0])
def test_second_slopes_of_a_power(b):
    def build(a, b):
        [first] = gradients(ops.reduce_sum(ops.pow(a, b)), [a])
        return first

    a = column([0.0, 1.0], "f64")
    found = slopes(build, {"a": a, "b": np.full_like(a, b)}, "f64")
    for got in found[0][..., 0]:
        np.testing.assert_array_equal(got, [b * (b - 1)] * 2)


ROWS = np.array([[0, 0, 0], [1, 1, 0], [-INF, 0, 0], [800, 0, -800], [0, -0.0, 1e-310]])
HALF, THIRD = 1 / 2, 1 / 3
P = np.exp([1, 1, 0]) / np.exp([1, 1, 0]).sum()
OVER_AXES = {
    "reduce_sum": (lambda x: ops.reduce_sum(x, 1), [[1, 1, 1]] * 5),
    # Equal ones share it.
    "reduce_max": (
        lambda x: ops.reduce_max(x, 1),
        [[THIRD] * 3, [HALF, HALF, 0], [0, HALF, HALF], [1, 0, 0], None],
    ),
    "reduce_min": (
        lambda x: ops.reduce_min(x, 1),
        [[THIRD] * 3, [0, 0, 1], [1, 0, 0], [0, 0, 1], None],
    ),
    "logsumexp": (
        lambda x: ops.logsumexp(x, 1),
        [[THIRD] * 3, P, [0, HALF, HALF], [1, 0, 0], [THIRD] * 3],
    ),
    "softmax": (
        lambda x: ops.softmax(x)[:, :1],
        [
            [2 / 9, -1 / 9, -1 / 9],
            [P[0] * (1 - P[0]), -P[0] * P[1], -P[0] * P[2]],
            [0, 0, 0],
            [0, 0, 0],
            [2 / 9, -1 / 9, -1 / 9],
        ],
    ),
    "log_softmax": (
        lambda x: ops.log_softmax(x)[:, :1],
        [
            [1 - THIRD, -THIRD, -THIRD],
            [1 - P[0], -P[1], -P[2]],
            [1, -HALF, -HALF],
            [0, 0, 0],
            [1 - THIRD, -THIRD, -THIRD],
        ],
    ),
    # The first of equal ones gets it.
    "top_k": (
        lambda x: ops.top_k(x, 1)[0],
        [[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], None],
    ),
}


@pytest.mark.parametrize("name", OVER_AXES)
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_over_rows(name, precision):
    build, wanted = OVER_AXES[name]
    dtype = {"f32": "f4", "f64": "f8"}[precision]
    [found] = slopes(build, {"x": ROWS.astype(dtype)}, precision)
    for got in found:
        for row, want in zip(got, wanted, strict=True):
            if want is not None:
                np.testing.assert_allclose(row, want, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_of_saturated_logits(precision):
    dtype = {"f32": "f4", "f64": "f8"}[precision]
    logits = np.array([[800, 0, -800], [0, 0, 0], [-INF, 0, 0]], dtype)
    labels = [0, 1, 2]

    def sparse(x):
        y = ops.cast(ops.iota(3), "i32")
        return ops.sparse_softmax_cross_entropy(x, y)

    model = Model(precision)
    with model.function("f") as graph:
        x = ops.input_("x", (3, 3), precision)
        graph.return_(*gradients(ops.reduce_sum(sparse(x)), [x]))
    want = np.array([[1, 0, 0], [THIRD] * 3, [0, HALF, HALF]]) - np.eye(3)[labels]
    [by_numpy] = reference.run(model, "f", {"x": logits}, {}).returns
    [native] = engine.compile(print_program(model)).run(
        "f", {"x": logits}, Program(model=model)
    )
    for got in (by_numpy, native):
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-7)


def test_a_zero_row_under_an_exponent_of_zero_trains():
    from slimlearn import NetworkRegressor, layers

    def network(x, num_outputs):
        return layers.fully_connected(
            ops.concat((x**0, x), 1), num_outputs, activation_fn=None
        )

    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3))
    X[7] = 0
    model = NetworkRegressor(network, max_iter=3, random_state=0).fit(X, X[:, 0])
    assert np.isfinite(model.loss_)
