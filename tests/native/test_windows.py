"""Windows over images: depthwise kernels, and sizes that no memory holds."""

import numpy as np
import pytest
from support.native_run import ISAS, apply, run

from slimlearn.backend import engine, ops, reference
from slimlearn.backend.autodiff import gradients
from slimlearn.backend.graph import Model
from slimlearn.backend.shape import B
from slimlearn.backend.text import parse_program

DTYPES = {"f32": np.float32, "f64": np.float64}

_TEXT = """slim 1

func f {{
  %x = input(source="x") : f32[B,2,2,2,1]
  {line}
  return %y
}}
"""
_NUMBERS = "dilations=[{n}, {n}, {n}], {{}}padding=[{n}, 0, {n}, 0, {n}, 0]"
_REACH = _NUMBERS.format(n=1 << 20)
LINES = {
    "convolution": f"%w = constant(value=1.0) : f32[2,2,2,1,1]\n"
    f"  %y = convolution(%x, %w, {_REACH.format('groups=1, ')}, strides=[1, 1, 1])"
    " : f32[B,2,2,2,1]",
    "pooling": f"%y = sum_pool(%x, {_REACH.format('kernel=[2, 2, 2], ')}, "
    "strides=[1, 1, 1]) : f32[B,2,2,2,1]",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_padding_beyond_all_memory_is_refused(line):
    text = _TEXT.format(line=line)
    with pytest.raises(ValueError, match="with its padding"):
        parse_program(text)
    with pytest.raises(ValueError, match="with its padding"):
        engine.compile(text)


DEPTHWISE = {
    # images, size, channels, kernel, outputs of a channel, strides, dilations
    "pairs": (9, (12, 31), 40, (3, 3), 1, 1, 1),
    "odd": (5, (9, 20), 45, (3, 3), 1, 2, 1),
    "wide": (3, (3, 1100), 9, (2, 5), 1, 1, 1),  # rows of several chains
    "tall": (40, (70, 5), 17, (3, 3), 1, 1, 1),  # several slices
    "large": (3, (9, 17), 35, (9, 11), 1, 1, 1),
    "dilated": (4, (11, 16), 130, (3, 4), 1, (2, 1), (1, 3)),
    "doubled": (4, (8, 19), 21, (3, 3), 2, 2, 1),
    "tripled": (4, (8, 19), 24, (3, 3), 3, 1, 1),
    "boxes": (3, (7, 9), 1024, (3, 3), 1, 1, 1),
    "strided boxes": (3, (15, 14), 1024, (3, 2), 1, (2, 3), 1),
    "dilated boxes": (2, (30, 15), 1024, (3, 3), 1, 1, (3, 2)),
    "gaps in boxes": (3, (5, 6), 1024, (2, 1), 1, 3, 1),
    "most taps": (2, (4, 20), 6, (16, 16), 1, 1, 1),
    "more taps": (2, (4, 20), 6, (1, 257), 1, 1, 1),
}


def depthwise(shape, precision):
    """Return all ways in which a depthwise convolution ends, and arrays for them."""
    images, size, channels, kernel, multiplier, strides, dilations = shape
    how = {"strides": strides, "dilations": dilations, "groups": channels}
    shapes = {
        "filters": (*kernel, 1, channels * multiplier),
        "bias": (channels * multiplier,),
        "x": (B, *size, channels),
    }
    model = Model(precision)
    with model.function("f") as graph:
        filters, bias, x = (ops.input_(k, v, precision) for k, v in shapes.items())
        y = ops.convolution(ops.relu(x), filters, **how)
        d = ops.input_("d", y.shape, precision)
        back = ops.convolution_transpose(d, filters, size, **how)
        graph.return_(
            ops.relu(y + bias),
            ops.tanh(ops.convolution(x, filters, **how)) * 2,
            ops.tanh(back) * 2,
            *gradients([y], [x, filters], [d]),
        )
    rng = np.random.default_rng(len(size) + channels)
    arrays = {
        name: rng.standard_normal(
            [images if n == B else n for n in shape], DTYPES[precision]
        )
        for name, shape in {**shapes, "d": d.shape}.items()
    }
    return model, arrays


@pytest.mark.parametrize("precision, near", [("f32", 1e-5), ("f64", 1e-13)])
@pytest.mark.parametrize("shape", DEPTHWISE.values(), ids=DEPTHWISE)
def test_depthwise_is_the_reference_for_all_threads_and_places(shape, precision, near):
    model, arrays = depthwise(shape, precision)
    images = shape[0]
    want = reference.run(model, "f", arrays, {}).returns
    some = {k: v[-2:] if k in ("x", "d") else v for k, v in arrays.items()}
    for isa in ISAS:
        got = run(model, arrays, isa, rows=np.arange(images), n_threads=1)
        for mine, theirs in zip(got, want, strict=True):
            atol = near * np.abs(theirs).max()
            np.testing.assert_allclose(mine, theirs, near, atol, err_msg=isa)
        again = run(model, arrays, isa, rows=np.arange(images), n_threads=2)
        assert [a.tobytes() for a in again] == [a.tobytes() for a in got]
        part = run(model, some, isa, rows=np.arange(2))
        for mine, whole in zip(part[:-1], got[:-1], strict=True):
            assert mine.tobytes() == whole[-2:].tobytes()


ENDINGS = {
    "norm": lambda y, v, w: ops.relu((y - v) * v + v),
    "norm_relu6": lambda y, v, w: ops.minimum(ops.relu((y - v) * v + v), 1.5),
    "residual": lambda y, v, w: ops.relu(w + ((y - v) * v + v)),
    "relu_grad": lambda y, v, w: ops.relu_grad(y, w),
    "tape": lambda y, v, w: ops.tanh(y - v) * w,
}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ENDINGS)
@pytest.mark.parametrize("groups, channels", [(1, 19), (3, 24), (1, 600), (24, 24)])
@pytest.mark.parametrize("strides", [1, 2])
def test_what_ends_a_convolution_keeps_its_bits(name, groups, channels, strides, isa):
    """In both directions; 600 channels are several blocks of k."""
    end = ENDINGS[name]
    rng = np.random.default_rng(channels)
    how = {"strides": strides, "groups": groups}
    filters, size = 24, -(-9 // strides)
    x, y = (3, 9, 9, channels), (3, size, size, filters)
    for product, of, gives in [
        (lambda x, f: ops.convolution(x, f, **how), x, y),
        (lambda x, f: ops.convolution_transpose(x, f, (9, 9), **how), y, x),
    ]:
        sizes = {"x": of, "f": (3, 3, channels // groups, filters)}
        row_and_whole = {"v": gives[-1:], "w": gives}
        arrays, rest = (
            {k: rng.standard_normal(size).astype("f4") for k, size in some.items()}
            for some in (sizes, row_and_whole)
        )
        alone = apply(product, arrays, isa, "f", batch=3)
        want = apply(end, {"y": alone, **rest}, isa, "v", batch=3)

        def fused(x, f, v, w, product=product):
            return end(product(x, f), v, w)

        got = apply(fused, arrays | rest, isa, "fv", batch=3)
        assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("images", [1, 5])
def test_filters_that_caches_do_not_hold(images, isa):
    """1.4 MB of them, whose tasks are larger; against each tap's product in float64."""
    rng = np.random.default_rng(images)
    x = rng.standard_normal((images, 21, 13, 200)).astype("f4")
    f = rng.standard_normal((3, 3, 200, 190)).astype("f4")
    arrays = {"x": x, "f": f}

    def build(x, f):
        return ops.convolution(x, f)

    got, again = (
        apply(build, arrays, isa, "f", batch=images, n_threads=threads)
        for threads in (1, 2)
    )
    assert again.tobytes() == got.tobytes()
    padded = np.pad(x.astype("f8"), ((0, 0), (1, 1), (1, 1), (0, 0)))
    want = sum(
        padded[:, i : i + 21, j : j + 13] @ f[i, j] for i in range(3) for j in range(3)
    )
    np.testing.assert_allclose(got, want, 1e-5, 1e-5 * np.abs(want).max())
    last = apply(build, {"x": x[-1:], "f": f}, isa, "f", batch=1)
    assert last.tobytes() == got[-1:].tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_the_gradient_of_depthwise_filters_is_exact(isa):
    x = np.random.default_rng(0).uniform(size=(60, 80, 80, 3)).astype("f4")
    f = np.ones((1, 1, 1, 3), "f4")

    def build(x, d, f):
        y = ops.convolution(x, f, groups=3)
        return gradients([y], [f], [d])[0]

    arrays = {"x": x, "d": np.ones_like(x), "f": f}
    got = apply(build, arrays, isa, fixed="f", batch=60)
    want = x.astype("f8").sum((0, 1, 2))
    assert np.abs(got / want - 1).max() < 5e-7


@pytest.mark.parametrize("size", [(5,), (7, 7), (3, 2, 4)])
@pytest.mark.parametrize("strides", [1, 3])
def test_a_window_as_large_as_the_image_is_a_product(size, strides):
    """Forward and both gradients; what pads or dilates stays a convolution."""
    rng = np.random.default_rng(len(size))
    shapes = {"x": (B, *size, 11), "f": (*size, 11, 19)}
    model = Model("f32")
    with model.function("f") as graph:
        x, f = (ops.input_(name, shape, "f32") for name, shape in shapes.items())
        y = ops.convolution(x, f, strides, "VALID")
        d = ops.input_("d", y.shape, "f32")
        graph.return_(y, *gradients([y], [x, f], [d]))
        assert "convolution" not in {node.op for node in graph.nodes}
        for way in ({"padding": [(0, 1)] * len(size)}, {"dilations": 2}):
            other = ops.input_("other", (B, *[2 * n for n in size], 11), "f32")
            windows = ops.convolution(other, f, **{"padding": "VALID"} | way)
            assert windows.node.op == "convolution"
    arrays = {
        "x": rng.standard_normal((4, *size, 11), np.float32),
        "f": rng.standard_normal(shapes["f"], np.float32),
        "d": rng.standard_normal((4, *[1] * len(size), 19), np.float32),
    }
    flat = {k: v.reshape(-1, v.shape[-1]) for k, v in arrays.items()}
    rows = flat["x"].reshape(4, -1)
    want = (rows @ flat["f"], flat["d"] @ flat["f"].T, rows.T @ flat["d"])
    got = run(model, arrays, ISAS[-1], rows=np.arange(4))
    for mine, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(mine.reshape(theirs.shape), theirs, 1e-5, 1e-5)
