"""Two sums over the same axes that read one value: one node, with the bits of two."""

import re

import numpy as np
import pytest
from support.native_run import ISAS

from slimlearn import _native
from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B, product
from slimlearn.backend.text import print_program

# [B, …] and the axes that are summed.
SHAPES = {
    "columns": (lambda n: (n,), (0,)),
    "channels": ((lambda n: (2, 3, n)), (0, 1, 2)),
    "rows": (lambda n: (n,), (1,)),
    "middle": ((lambda n: (3, n)), (1,)),
    "all but one": ((lambda n: (5, n)), (0, 2)),
}
# Where a mean is no row and no column of its terms: it is spread in a pass of its own.
WIDENED = {"middle", "all but one"}


def moments(x, _, axes):
    total = ops.reduce_sum(x, axes, keepdims=True)
    count = ops.extent(product([x.shape[i] for i in axes]), x.dtype)
    spread = ops.square(x - total / count)
    return total, ops.reduce_sum(spread, axes, keepdims=True)


def squares(x, _, axes):
    return ops.reduce_sum(x, axes), ops.reduce_sum(ops.square(x), axes)


def slopes(x, y, axes):
    return ops.reduce_sum(x, axes), ops.reduce_sum(x * y, axes)


def other_slopes(x, y, axes):
    """Return the sum of the second factor last."""
    return ops.reduce_sum(x * y, axes), ops.reduce_sum(y, axes)


PAIRS = {f.__name__: f for f in (moments, squares, slopes, other_slopes)}


def compiled_of(build, shape, precision="f32", isa=None):
    model = Model(precision)
    with model.function("f") as graph:
        x, y = (ops.input_(name, (B, *shape), precision) for name in "XY")
        graph.return_(*build(x, y))
    text = print_program(model)
    return engine.compile(text, isa=isa), Program(text, model=model), model


def launches(compiled, rows):
    return compiled.info("f", rows)["steps"]


def arrays(rows, shape, precision="f32", mean=0.5):
    rng = np.random.default_rng(rows)
    dtype = reference.DTYPES[precision]
    values = (rng.normal(mean, 2, (rows, *shape)).astype(dtype) for _ in "XY")
    return dict(zip("XY", values, strict=True))


def apart(pair, x, y, axes, isa):
    """Return the two sums, each of a program of its own."""
    precision = {4: "f32", 8: "f64"}[x.itemsize]

    def run(build, x, y):
        compiled, program, _ = compiled_of(build, x.shape[1:], precision, isa)
        (result,) = compiled.run("f", {"X": x, "Y": y}, program, batch=len(x))
        return result

    if pair != "moments":
        build = PAIRS[pair]
        return [run(lambda x, y, i=i: (build(x, y, axes)[i],), x, y) for i in range(2)]
    total = run(lambda x, _: (ops.reduce_sum(x, axes, keepdims=True),), x, y)
    mean = total / x.dtype.type(product([x.shape[i] for i in axes]))
    centered = x - mean
    spread = run(
        lambda x, _: (ops.reduce_sum(ops.square(x), axes, keepdims=True),), centered, y
    )
    return [total, spread]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize(
    "rows, width",
    [(1, 1), (1, 100), (2, 7), (7, 64), (129, 40), (1000, 7), (1000, 1000)]
    + [(30_000, width) for width in (1, 7, 64)],
)
@pytest.mark.parametrize("pair", PAIRS)
def test_a_pair_of_column_sums_has_the_bits_of_two(pair, width, rows, precision, isa):
    check(pair, "columns", rows, width, precision, isa)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("rows, width", [(1, 1), (7, 17), (300, 33), (700, 300)])
@pytest.mark.parametrize(
    "pair, shape",
    [
        (pair, shape)
        for pair in PAIRS
        for shape in SHAPES
        if shape != "columns" and not (pair == "moments" and shape in WIDENED)
    ],
)
def test_over_any_axes_too(pair, shape, rows, width, precision, isa):
    check(pair, shape, rows, width, precision, isa)


def check(pair, shape, rows, width, precision, isa):
    """One node; the bits of two in 1, 3 and 8 threads; and NumPy's values."""
    inner, axes = SHAPES[shape]
    inner = inner(width)
    compiled, program, _ = compiled_of(
        lambda x, y: PAIRS[pair](x, y, axes), inner, precision, isa
    )
    assert len({name for name, *_ in launches(compiled, rows)}) == 1
    made = arrays(rows, inner, precision)
    want = apart(pair, made["X"], made["Y"], axes, isa)
    for threads in (1, 3, 8):
        got = compiled.run("f", made, program, n_threads=threads, batch=rows)
        for mine, alone in zip(got, want, strict=True):
            np.testing.assert_array_equal(mine, alone)
    wide = {name: array.astype("f8") for name, array in made.items()}
    exact = compiled_of(lambda x, y: PAIRS[pair](x, y, axes), inner, "f64")[2]
    exact = reference.run(exact, "f", wide, {}).returns
    tolerance = 2e-6 if precision == "f32" else 1e-13
    size = product([made["X"].shape[i] for i in axes])
    for mine, true in zip(got, exact, strict=True):
        np.testing.assert_allclose(mine, true, 10 * tolerance, tolerance * size)


@pytest.mark.parametrize("isa", ISAS)
def test_slices_are_those_of_one_sum(isa):
    for pair, build in PAIRS.items():
        compiled, *_ = compiled_of(lambda x, y, b=build: b(x, y, (0,)), (64,), isa=isa)
        tasks = [count for _, _, count in launches(compiled, 40_000)]
        # The spread waits for the mean of all slices.
        assert tasks == ([8, 1, 8, 1] if pair == "moments" else [8, 1])
        assert [count for _, _, count in launches(compiled, 128)] == [1]


@pytest.mark.parametrize("isa", ISAS)
def test_a_tail_has_the_bits_of_a_plan_of_its_size(isa):
    for pair, build in PAIRS.items():
        compiled, program, _ = compiled_of(
            lambda x, y, b=build: b(x, y, (0,)), (64,), isa=isa
        )
        made = arrays(1000, (64,))
        want = compiled.run("f", made, program, batch=1000)
        whole = compiled.run("f", made, program, batch=40_000)
        for mine, alone in zip(whole, want, strict=True):
            np.testing.assert_array_equal(mine, alone, err_msg=pair)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("rows", [1, 7, 1000, 30_000])
@pytest.mark.parametrize("pair", PAIRS)
def test_columns_of_a_wider_value_and_parts_of_one(pair, rows, precision, isa):
    def build(x, y):
        cut = [ops.slice_(ops.tanh(t), 1, 3, 20) for t in (x, y)]
        first, second = PAIRS[pair](*cut, (1,))
        if pair != "moments":
            first, second = (ops.reshape(t, (B, 1)) for t in (first, second))
        columns = [ops.reduce_sum(t, 0) for t in PAIRS[pair](*cut, (0,))]
        joined = ops.concat([first, ops.slice_(x, 1, 0, 2), second], 1)
        return *columns, ops.relu(joined) - joined

    compiled, program, model = compiled_of(build, (29,), precision, isa)
    made = arrays(rows, (29,), precision)
    want = reference.run(model, "f", made, {}).returns
    tolerance = 2e-4 if precision == "f32" else 1e-12
    for threads in (1, 3):
        got = compiled.run("f", made, program, n_threads=threads, batch=rows)
        for mine, true in zip(got, want, strict=True):
            np.testing.assert_allclose(mine, true, tolerance, tolerance * 100)


@pytest.mark.parametrize("isa", ISAS)
def test_in_the_branches_of_a_cond(isa):
    def build(x, y):
        def branch(pair):
            return lambda: tuple(ops.reshape(t, (9,)) for t in PAIRS[pair](x, y, (0,)))

        return ops.cond(ops.reduce_mean(x) > 0, branch("moments"), branch("slopes"))

    compiled, program, _ = compiled_of(build, (9,), isa=isa)
    assert compiled.dump("f", 32).count("= fused(") >= 2
    for mean, pair in ((0.5, "moments"), (-0.5, "slopes")):
        made = arrays(700, (9,), mean=mean)
        got = compiled.run("f", made, program, n_threads=2, batch=700)
        want = apart(pair, made["X"], made["Y"], (0,), isa)
        for mine, alone in zip(got, want, strict=True):
            np.testing.assert_array_equal(mine, alone.reshape(9))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("rows", [100, 40_000])
def test_a_mean_far_from_zero_does_not_swallow_the_spread(rows, isa):
    compiled, program, _ = compiled_of(lambda x, y: moments(x, y, (0,)), (20,), isa=isa)
    made = arrays(rows, (20,), mean=1e4)
    _, spread = compiled.run("f", made, program)
    x = made["X"].astype("f8")
    np.testing.assert_allclose(spread[0], x.var(0) * rows, rtol=1e-5)


def test_what_is_not_finite_stays_in_its_column():
    compiled, program, _ = compiled_of(lambda x, y: moments(x, y, (0,)), (9,))
    made = {"X": np.ones((300, 9), "f4"), "Y": np.ones((300, 9), "f4")}
    made["X"][[0, 200, 5], [2, 4, 6]] = np.inf, -np.inf, np.nan
    total, spread = (array[0] for array in compiled.run("f", made, program))
    np.testing.assert_array_equal(total[[2, 4]], [np.inf, -np.inf])
    bad = np.isin(np.arange(9), [2, 4, 6])
    np.testing.assert_array_equal(np.isnan(spread), bad)
    np.testing.assert_array_equal(spread[~bad], 0)
    np.testing.assert_array_equal(total[~bad], 300)


def test_the_gradient_of_softmax_stores_no_products():
    model = Model("f32")
    with model.function("f") as graph:
        x = ops.input_("X", (B, 7))
        y = ops.softmax(x)
        graph.return_(*gradients([ops.reduce_sum(y * y * y)], [x]))
    after = _native.optimize(print_program(model), "f")
    (operands,) = re.findall(r"= fused\(([^)]*)\) \{[^}]*reduce_sum\([^}]*\}", after)
    assert operands.count("%") == 2
