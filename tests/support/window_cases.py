"""Cases of what slides windows over images: convolutions, poolings, both in one."""

import numpy as np
from scipy import signal

from slimlearn.backend import ops
from slimlearn.backend.graph import Model
from slimlearn.backend.op import emit
from slimlearn.backend.shape import B
from support.case import Source, case

# Shapes of x and filters, and how the windows lie.
_WINDOWS = {
    "same": ((B, 5, 6, 3), (3, 3, 3, 4), {}),
    "valid": ((B, 5, 6, 3), (3, 2, 3, 20), {"padding": "VALID"}),
    "stride2": ((B, 7, 6, 3), (3, 3, 3, 5), {"strides": 2}),
    "stride3": ((B, 8, 7, 2), (2, 2, 2, 3), {"strides": (3, 2), "padding": "VALID"}),
    "dilated": ((B, 7, 8, 2), (3, 3, 2, 9), {"dilations": (2, 3)}),
    "both": ((B, 9, 8, 2), (2, 3, 2, 3), {"strides": 2, "dilations": (3, 2)}),
    "pointwise2": ((B, 5, 5, 6), (1, 1, 6, 7), {"strides": 2}),
    "padded": ((B, 4, 5, 2), (3, 3, 2, 3), {"padding": ((2, 0), (1, 3))}),
    "far": ((B, 2, 3, 2), (1, 1, 2, 3), {"padding": ((2, 1), (0, 2)), "strides": 3}),
    "whole": ((B, 4, 3, 2), (4, 3, 2, 17), {"padding": "VALID"}),
    "groups": ((B, 5, 4, 6), (3, 3, 2, 9), {"groups": 3}),
    "groups_valid": (
        (B, 6, 7, 8),
        (2, 3, 4, 6),
        {"groups": 2, "padding": "VALID", "dilations": (1, 2)},
    ),
    "groups_strided": ((B, 5, 9, 12), (3, 3, 4, 18), {"groups": 3, "strides": 2}),
    "depthwise": ((B, 5, 6, 11), (3, 3, 1, 11), {"groups": 11, "strides": 2}),
    "multiplied": ((B, 4, 6, 5), (3, 2, 1, 15), {"groups": 5}),
    "channels9": ((B, 3, 10, 9), (3, 3, 1, 9), {"groups": 9}),
    "channels24": ((B, 2, 9, 24), (2, 8, 1, 24), {"groups": 24}),
    "channels3": (
        (B, 7, 8, 3),
        (3, 2, 1, 6),
        {"groups": 3, "strides": (2, 3), "dilations": (2, 1)},
    ),
    "channels2": (
        (B, 1, 1, 2),
        (2, 2, 1, 4),
        {"groups": 2, "padding": ((3, 2), (2, 4)), "strides": (1, 3)},
    ),
    "pixel": ((B, 1, 1, 19), (1, 1, 1, 19), {"groups": 19}),
    "skipped": ((B, 5, 7, 8), (1, 2, 1, 8), {"groups": 8, "strides": 3}),
    "depthwise_line": ((B, 9, 10), (5, 1, 20), {"groups": 10, "dilations": 2}),
    "depthwise_volume": (
        (B, 3, 4, 3, 4),
        (2, 3, 2, 1, 4),
        {"groups": 4, "strides": (1, 2, 2)},
    ),
    "line": ((B, 9, 2), (4, 2, 3), {"strides": 2}),
    "volume": ((B, 3, 4, 5, 2), (2, 3, 2, 2, 3), {"strides": (1, 2, 1)}),
    "fixed": ((2, 5, 4, 3), (3, 3, 3, 2), {}),
}


def _correlation(x, f, attributes):
    """A convolution by SciPy: filters with holes, every window, every channel."""
    strides, dilations = attributes["strides"], attributes["dilations"]
    before, after = attributes["padding"][::2], attributes["padding"][1::2]
    x = np.pad(x, ((0, 0), *zip(before, after, strict=True), (0, 0)))
    kernel = f.shape[:-2]
    reach = [(n - 1) * d + 1 for n, d in zip(kernel, dilations, strict=True)]
    holed = np.zeros((*reach, *f.shape[-2:]))
    holed[tuple(slice(None, None, d) for d in dilations)] = f
    groups = attributes["groups"]
    parts = zip(np.split(x, groups, -1), np.split(holed, groups, -1), strict=True)
    maps = [
        [
            sum(
                signal.correlate(image[..., c], w[..., c, n], "valid", "direct")
                for c in range(w.shape[-2])
            )
            for image in a
        ]
        for a, w in parts
        for n in range(w.shape[-1])
    ]
    y = np.moveaxis(np.array(maps), 0, -1)
    return y[(slice(None), *(slice(None, None, stride) for stride in strides))]


def _window_cases(label, x, f, how):
    """The three ops on one geometry."""
    model = Model("f64")
    with model.function("f") as graph:
        filters = ops.input_("f", f, "f64")
        y = ops.convolution(ops.input_("x", x, "f64"), filters, **how)
        ops.convolution_transpose(y, filters, x[1:-1], **how)
        attributes = graph.nodes[-1].attributes
    case(
        "convolution",
        lambda x, f: emit("convolution", (x, f), attributes),
        label,
        expect=lambda x, f: _correlation(x, f, attributes),
        x=Source(x),
        f=Source(f),
    )
    case(
        "convolution_input_grad",
        lambda d, f: ops.convolution_transpose(d, f, x[1:-1], **how),
        label,
        d=Source(y.shape, "small"),
        f=Source(f),
    )
    case(
        "convolution_filter_grad",
        lambda x, d: emit(
            "convolution_filter_grad", (x, d), attributes, [(x.dtype, f)]
        ),
        label,
        x=Source(x),
        d=Source(y.shape, "small"),
    )


for _label, _window in _WINDOWS.items():
    _window_cases(_label, *_window)
case(
    "convolution",
    lambda x, f: ops.convolution(ops.reshape(x, (B * 2, 4, 4, 1)), f),
    "two",
    x=Source((B, 32)),
    f=Source((3, 3, 1, 2)),
)


def _pool_cases(label, x, how):
    """All poolings on one geometry."""
    model = Model("f64")
    with model.function("f") as graph:
        y = ops.max_pool(ops.input_("x", x, "f64"), **how)
        attributes = graph.nodes[-1].attributes
    count = int(np.prod(attributes["kernel"]))
    case("max_pool", lambda x: ops.max_pool(x, **how), label, x=Source(x, "distinct"))
    case(
        "max_pool",
        lambda x: emit("max_pool", (ops.round(x),), attributes),
        f"{label}_ties",
        smooth=(),
        x=Source(x),
    )
    places = Source(y.shape, dtype="i32", below=count)
    case(
        "max_pool_grad",
        lambda d, p: emit("max_pool_grad", (d, p), attributes, [(d.dtype, x)]),
        label,
        smooth=("d",),
        d=Source(y.shape),
        p=places,
    )
    case(
        "max_pool_pick",
        lambda x, p: emit("max_pool_pick", (x, p), attributes),
        label,
        smooth=("x",),
        x=Source(x),
        p=places,
    )
    case("sum_pool", lambda x: ops.sum_pool(x, **how), label, x=Source(x))
    case("sum_pool", lambda x: ops.avg_pool(x, **how), f"{label}_mean", x=Source(x))
    case(
        "sum_pool_grad",
        lambda d: emit("sum_pool_grad", (d,), attributes, [(d.dtype, x)]),
        label,
        d=Source(y.shape),
    )


for _label, _x, _how in (
    ("halves", (B, 4, 6, 3), {"kernel_size": 2, "strides": 2}),
    ("overlap", (B, 5, 7, 11), {"kernel_size": 3, "strides": 2, "padding": "SAME"}),
    ("gaps", (B, 7, 7, 2), {"kernel_size": 2, "strides": 3}),
    ("wide", (B, 3, 5, 19), {"kernel_size": (1, 3), "padding": "SAME"}),
    ("dilated", (B, 6, 7, 2), {"kernel_size": 2, "dilations": (2, 3)}),
    ("padded", (B, 3, 2, 2), {"kernel_size": 2, "padding": ((2, 0), (1, 1))}),
    ("line", (B, 8, 3), {"kernel_size": 3, "strides": 2}),
    ("volume", (B, 2, 3, 4, 3), {"kernel_size": 2, "strides": (1, 2, 1)}),
    ("fixed", (2, 4, 4, 1), {"kernel_size": 3, "padding": "SAME"}),
):
    _pool_cases(_label, _x, _how)


def _pooled_convolution_cases(label, x, f, pool, bias=False, relu=False, **how):
    """The three ops on one geometry; the gradients are gradients of the product."""
    model = Model("f64")
    with model.function("f") as graph:
        y = ops.convolution(ops.input_("x", x, "f64"), ops.input_("f", f, "f64"), **how)
        windows = {**graph.nodes[-1].attributes, "pool": list(pool)}
    out = (B, y.shape[1] // pool[0], y.shape[2] // pool[1], f[-1])
    places = Source(out, dtype="i32", below=pool[0] * pool[1])

    def forward(x, f, b=None):
        operands = (x, f) if b is None else (x, f, b)
        values, places = emit("pooled_convolution", operands, {**windows, "relu": relu})
        return values, ops.cast(places, "i32")

    def expected(x, f, b=None):
        y = _correlation(x, f, windows) + (0 if b is None else b)
        y = np.maximum(y, 0) if relu else y
        parts = [
            y[:, i :: pool[0], j :: pool[1]][:, : out[1], : out[2]]
            for i, j in np.ndindex(*pool)
        ]
        return np.max(parts, 0), np.argmax(parts, 0).astype(np.int32)

    inputs = {"x": Source(x), "f": Source(f, "small")}
    if bias:
        inputs["b"] = Source(f[-1:])
    case("pooled_convolution", forward, label, (), expected, **inputs)
    case(
        "pooled_convolution_input_grad",
        lambda d, f, p: emit(
            "pooled_convolution_input_grad",
            (d, f, ops.cast(p, "u8")),
            windows,
            [(d.dtype, x)],
        ),
        label,
        (),
        d=Source(out, "small"),
        f=Source(f, "small"),
        p=places,
    )
    case(
        "pooled_convolution_filter_grad",
        lambda x, d, p: emit(
            "pooled_convolution_filter_grad",
            (x, d, ops.cast(p, "u8")),
            windows,
            [(x.dtype, f)],
        ),
        label,
        (),
        x=Source(x),
        d=Source(out, "small"),
        p=places,
    )


for _label, _x, _f, _pool, _how in (
    ("first", (B, 9, 6, 1), (3, 3, 1, 16), (2, 2), {"bias": True, "relu": True}),
    ("first3", (B, 7, 8, 3), (3, 3, 3, 48), (2, 2), {"padding": "VALID"}),
    ("whole", (B, 8, 8, 32), (3, 3, 32, 16), (2, 2), {"bias": True}),
    ("odd", (B, 5, 7, 48), (3, 3, 48, 80), (2, 2), {"relu": True}),
    ("far", (B, 3, 2, 16), (3, 3, 16, 16), (2, 2), {"padding": ((3, 0), (1, 4))}),
    ("others", (B, 7, 8, 4), (2, 3, 2, 6), (3, 2), {"groups": 2, "strides": (1, 2)}),
):
    _pooled_convolution_cases(_label, _x, _f, _pool, **_how)
