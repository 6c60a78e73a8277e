"""Every op of the registry, layer norm, activation and loss at its corners.

Equal numbers, zeros, saturated ones, infinities and NaN; places that repeat, the first
and the last; no rows and no columns. A gradient is right if it lies between what
difference quotients say of both sides, which needs no formula of ours; and both engines
give the same.
"""

import numpy as np
import pytest
from support.corners import (
    ALL,
    FAR,
    FLAT,
    by_kernels,
    by_numpy,
    models,
    one_sided,
    sources,
)

from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B
from slimlearn.backend.text import print_program

INF, NAN = np.inf, np.nan
SMOOTH = [op for op, cases in ALL.items() if any(case.smooth for case in cases)]


@pytest.mark.parametrize("op", SMOOTH)
def test_gradients_lie_between_both_sides(op):
    rng, compared = np.random.default_rng(0), 0
    for case in ALL[op]:
        made = models(case, "f64")
        for corner in FLAT if made else ():
            model, names = made
            arrays = sources(case, corner, "f64")
            slopes = by_numpy(model, "g", arrays)
            for name, slope in zip(names, slopes, strict=True):
                at = tuple(int(rng.integers(size)) for size in slope.shape)
                bounds = one_sided(case, name, at, arrays)
                if bounds is None:
                    continue
                low, high, size = bounds
                near = 2e-5 * (1 + size)
                assert low - near <= slope[at] <= high + near, (case, corner, name, at)
                compared += 1
    assert compared or not any(models(case, "f64") for case in ALL[op])


@pytest.mark.parametrize("precision", ["f32", "f64"])
@pytest.mark.parametrize("op", SMOOTH)
def test_kernels_agree_with_numpy(op, precision):
    near = 2e-5 if precision == "f32" else 1e-10
    for case in ALL[op]:
        made = models(case, precision)
        for corner in FLAT | FAR if made else ():
            arrays = sources(case, corner, precision)
            for function in "fg":
                wanted = by_numpy(made[0], function, arrays)
                found = by_kernels(case, precision, function, arrays)
                for want, got in zip(wanted, found, strict=True):
                    size = np.abs(want[np.isfinite(want)]).max(initial=1)
                    np.testing.assert_allclose(
                        got, want, near, near * size, err_msg=f"{case} {corner}"
                    )


# What mixes rows has no largest of none, and no mean.
MIXES = (
    "moments",
    "reduce_max",
    "reduce_min",
    "max_with_argmax",
    "logsumexp",
)


@pytest.mark.parametrize("op", [op for op in SMOOTH if op not in MIXES])
def test_no_rows(op):
    for case in ALL[op]:
        made = models(case, "f32")
        if made is None or str(case) == "reduce_sum-mean":
            continue
        arrays = case.sources("f32", 0)
        for function in "fg":
            wanted = by_numpy(made[0], function, arrays)
            found = by_kernels(case, "f32", function, arrays)
            for want, got in zip(wanted, found, strict=True):
                np.testing.assert_allclose(got, want, 1e-5, 1e-5, err_msg=str(case))


# -- what has a size of zero ---------------------------------------------------------

P = ((2, 2), (0, 0))
NONE = {
    "concat": ({"a": (B, 0), "b": (B, 3)}, lambda a, b: ops.concat((a, b), 1)),
    "concat_none": ({"a": (B, 0), "b": (B, 0)}, lambda a, b: ops.concat((a, b), 1)),
    "concat_leading": ({"a": (0, 4), "b": (3, 4)}, lambda a, b: ops.concat((a, b), 0)),
    "pad": ({"a": (B, 0)}, lambda a: ops.pad_axis(a, 1, 2, 1)),
    "matmul": ({"a": (B, 0), "b": (0, 3)}, ops.matmul),
    "matmul_columns": ({"a": (B, 2), "b": (2, 0)}, ops.matmul),
    "sum": ({"a": (B, 0)}, lambda a: ops.reduce_sum(a, 1)),
    "logsumexp": ({"a": (B, 0)}, lambda a: ops.logsumexp(a, 1)),
    "gather": (
        {"t": (4, 2)},
        lambda t: ops.gather(t, ops.constant(0, "i32", (0,))),
    ),
    "gather_columns": ({"t": (4, 0)}, lambda t: ops.gather(t, ops.iota(3, "i32"))),
    "scatter_add": (
        {"u": (0, 2)},
        lambda u: ops.scatter_add(ops.constant(0, "i32", (0,)), u, (4, 2)),
    ),
    "transpose": ({"a": (B, 0, 3)}, lambda a: ops.transpose(a, (0, 2, 1))),
    "reshape": ({"a": (B, 0)}, lambda a: ops.reshape(a, (B, 3, 0))),
    "chain": ({"a": (B, 0)}, lambda a: ops.tanh(a) * 2),
    "broadcast": ({"a": (B, 1), "b": (0,)}, ops.add),
    "dropout": ({"a": (B, 0)}, lambda a: ops.dropout(a, 0.5)),
    "max_pool": ({"x": (B, 4, 4, 0)}, lambda x: ops.max_pool(x, 2)),
    "sum_pool": ({"x": (B, 4, 4, 0)}, lambda x: ops.sum_pool(x, 2)),
    "max_pool_padding": (
        {"x": (B, 0, 4, 3)},
        lambda x: ops.max_pool(x, 2, padding=P),
    ),
    "avg_pool_padding": (
        {"x": (B, 0, 4, 3)},
        lambda x: ops.avg_pool(x, 2, padding=P),
    ),
    "convolution_padding": (
        {"x": (B, 0, 4, 2), "f": (2, 2, 2, 3)},
        lambda x, f: ops.convolution(x, f, padding=P),
    ),
    "depthwise_padding": (
        {"x": (B, 0, 4, 2), "f": (2, 2, 1, 2)},
        lambda x, f: ops.convolution(x, f, padding=P, groups=2),
    ),
}


@pytest.mark.parametrize("name", NONE)
def test_sizes_of_zero(name):
    shapes, build = NONE[name]
    model = Model("f32")
    with model.function("f") as graph:
        xs = [ops.input_(key, shape, "f32") for key, shape in shapes.items()]
        y = build(*xs)
        graph.return_(y, *gradients(ops.reduce_sum(y), xs))
    arrays = {
        key: np.ones([3 if size is B else size for size in shape], "f4")
        for key, shape in shapes.items()
    }
    compiled = engine.compile(print_program(model))
    found = compiled.run("f", arrays, Program(model=model))
    wanted = by_numpy(model, "f", arrays)
    for want, got in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(got, want)
    for got, array in zip(found[1:], arrays.values(), strict=True):
        assert got.shape == array.shape


@pytest.mark.parametrize("x, f", [((B, 4, 4, 0), (2, 2, 0, 3)), ((B, 4, 2), (2, 2, 0))])
def test_convolutions_need_channels(x, f):
    with Model("f32").function("f"), pytest.raises(ValueError, match="needs channels"):
        ops.convolution(ops.input_("x", x, "f32"), ops.input_("f", f, "f32"))
    axes = len(x) - 2
    attributes = ", ".join(
        f"{name}=[{', '.join([number] * axes)}]"
        for name, number in (("dilations", "1"), ("padding", "0, 0"), ("strides", "1"))
    ).replace("padding", "groups=1, padding")
    x, f, y = (", ".join(map(str, dims)) for dims in (x, f, (B, *[3] * axes, f[-1])))
    text = f"""slim 1

func f {{
  %x = input(source="x") : f32[{x}]
  %f = input(source="f") : f32[{f}]
  %y = convolution(%x, %f, {attributes}) : f32[{y}]
  return %y
}}
"""
    with pytest.raises(ValueError, match="needs channels"):
        engine.compile(text)


# -- what is chosen where there is a choice ------------------------------------------


def picked(values, **how):
    """Whose gradient a max pooling of a line has, by both engines."""
    model = Model("f64")
    x = np.array(values, "f8")[None, :, None]
    with model.function("f") as graph:
        tensor = ops.input_("x", (B, *x.shape[1:]), "f64")
        y = ops.max_pool(tensor, **how)
        graph.return_(y, *gradients(ops.reduce_sum(y), [tensor]))
    by_numpy = reference.run(model, "f", {"x": x}, {}).returns
    compiled = engine.compile(print_program(model))
    native = compiled.run("f", {"x": x}, Program(model=model))
    for one, other in zip(by_numpy, native, strict=True):
        np.testing.assert_array_equal(one, other)
    return by_numpy[0].ravel().tolist(), by_numpy[1].ravel().tolist()


@pytest.mark.parametrize(
    "values, how, largest, slopes",
    [
        # The first of equal ones.
        ([1, 1, 1, 0], {"kernel_size": 2, "strides": 2}, [1, 1], [1, 0, 1, 0]),
        ([2, 2, 2], {"kernel_size": 2}, [2, 2], [1, 1, 0]),
        # Padding is not there: not larger than a negative number, nor than -inf.
        ([-3, -5], {"kernel_size": 3, "padding": "SAME"}, [-3, -3], [2, 0]),
        ([-INF] * 3, {"kernel_size": 3, "padding": "SAME"}, [-INF] * 3, [2, 1, 0]),
        # NaN is the largest, and the first NaN of several.
        ([1, NAN, INF], {"kernel_size": 3}, [NAN], [0, 1, 0]),
        ([NAN, 1, NAN], {"kernel_size": 3}, [NAN], [1, 0, 0]),
        # A window of nothing but padding is 0, and nobody's.
        ([-1], {"kernel_size": 1, "padding": ((2, 0),), "strides": 2}, [0, -1], [1]),
    ],
)
def test_max_pooling(values, how, largest, slopes):
    found = picked(values, **how)
    np.testing.assert_array_equal(found[0], largest)
    assert found[1] == slopes
