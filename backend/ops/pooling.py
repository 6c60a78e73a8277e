"""The largest element, or the sum, of each window over one to three spatial axes.

`max_pool` also says where in its window each largest element stood. By these places
`max_pool_grad` gives numbers back to where they came from, and `max_pool_pick` takes
numbers from there: each is the other's gradient, as `sum_pool_grad` is `sum_pool`'s.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import FLOATS, Tensor, type_text
from slimlearn.backend.op import (
    Op,
    check_count,
    check_dtype,
    check_tensor,
    describe,
    emit,
    public,
    refuse_unless,
    takes,
    target,
)
from slimlearn.backend.ops.windows import (
    Padding,
    are_sizes,
    check_numbers,
    check_padded,
    numbers_by_axis,
    out_size,
    pad_widths,
    padding_of,
    strided,
)

_ATTRIBUTES = takes(dilations=list, kernel=list, padding=list, strides=list)


def _pooled(x, attributes, what):
    """Return the shape that a pooling of x gives."""
    axes = len(x) - 2
    refuse_unless(
        1 <= axes <= 3, f"needs [B, *spatial, channels], 1 to 3 spatial axes: {what}"
    )
    refuse_unless(
        are_sizes(x),
        f"needs spatial axes and channels of known size: {what}",
    )
    check_numbers(attributes, "kernel", axes, 1)
    check_numbers(attributes, "strides", axes, 1)
    check_numbers(attributes, "dilations", axes, 1)
    check_numbers(attributes, "padding", 2 * axes, 0)
    check_padded(x, attributes)
    kernel = attributes["kernel"]
    out = (
        out_size(x[1 + axis], kernel[axis], attributes, axis, what)
        for axis in range(axes)
    )
    return (x[0], *out, x[-1])


def _windows(padded, out, attributes):
    """Yield the number of each tap of the kernel and what all windows read there."""
    taps = itertools.product(*map(range, attributes["kernel"]))
    for number, tap in enumerate(taps):
        yield number, strided(padded, tap, out[1:-1], attributes)


def _padded(x, attributes, value=0.0):
    widths = ((0, 0), *pad_widths(attributes), (0, 0))
    return np.pad(x, widths, constant_values=value)


def _inside(padded, shape, attributes):
    inside = zip(pad_widths(attributes), shape[1:-1], strict=True)
    spatial = (slice(before, before + size) for (before, _), size in inside)
    return np.ascontiguousarray(padded[(slice(None), *spatial)])


class MaxPool(Op):
    """The largest element of each window, and its place there; NaN is the largest."""

    name = "max_pool"
    attributes = _ATTRIBUTES
    results = 2

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        check_dtype(types, FLOATS, "x")
        dtype, x = types[0]
        out = _pooled(x, attributes, describe(types, "x"))
        return [(dtype, out), ("i32", out)]

    def reference(self, context, arrays, node):
        (x,) = arrays
        out = _pooled(x.shape, node.attributes, "")
        real = _padded(np.ones(x.shape, bool), node.attributes, False)
        largest, places = np.zeros(out, x.dtype), np.full(out, -1, np.int32)
        windows = _windows(_padded(x, node.attributes), out, node.attributes)
        reals = _windows(real, out, node.attributes)
        for (number, window), (_, there) in zip(windows, reals, strict=True):
            beyond = (window > largest) | (np.isnan(window) & ~np.isnan(largest))
            wins = there & (beyond | (places < 0))
            largest[wins] = window[wins]
            places[wins] = number
        return [largest, places]

    def grad(self, node, index, dy, _):
        (x,) = node.operands
        return _emit("max_pool_grad", (dy, node.results[1]), node, x)


class MaxPoolGrad(Op):
    """Numbers of windows, back at the places where their largest elements stood."""

    name = "max_pool_grad"
    attributes = _ATTRIBUTES

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 2)
        check_dtype(types[:1], FLOATS, "d")
        dtype, x = target(declared)
        what = describe(types, "dp")
        out = _pooled(x, attributes, what)
        _check_places(types[1], out, what)
        refuse_unless(
            types[0] == (dtype, out), f"d must be {type_text(dtype, out)}: {what}"
        )
        return [(dtype, x)]

    def reference(self, context, arrays, node):
        dy, places = arrays
        shape = context.result(node)[1]
        padded = _padded(np.zeros(shape, dy.dtype), node.attributes)
        for number, window in _windows(padded, dy.shape, node.attributes):
            window += np.where(places == number, dy, 0)
        return [_inside(padded, shape, node.attributes)]

    def grad(self, node, index, g):
        if index == 1:
            return None
        return emit("max_pool_pick", (g, node.operands[1]), node.attributes)


class MaxPoolPick(Op):
    """The element of each window at the place where another's largest stood."""

    name = "max_pool_pick"
    attributes = _ATTRIBUTES

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 2)
        check_dtype(types[:1], FLOATS, "x")
        what = describe(types, "xp")
        out = _pooled(types[0][1], attributes, what)
        _check_places(types[1], out, what)
        return [(types[0][0], out)]

    def reference(self, context, arrays, node):
        x, places = arrays
        y = np.zeros(places.shape, x.dtype)
        padded = _padded(x, node.attributes)
        for number, window in _windows(padded, y.shape, node.attributes):
            y = np.where(places == number, window, y)
        return [y]

    def grad(self, node, index, g):
        if index == 1:
            return None
        x, places = node.operands
        return _emit("max_pool_grad", (g, places), node, x)


class SumPool(Op):
    """The sum of each window."""

    name = "sum_pool"
    attributes = _ATTRIBUTES

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        check_dtype(types, FLOATS, "x")
        dtype, x = types[0]
        return [(dtype, _pooled(x, attributes, describe(types, "x")))]

    def reference(self, context, arrays, node):
        (x,) = arrays
        out = _pooled(x.shape, node.attributes, "")
        y = np.zeros(out, x.dtype)
        for _, window in _windows(_padded(x, node.attributes), out, node.attributes):
            y += window
        return [y]

    def grad(self, node, index, dy):
        return _emit("sum_pool_grad", (dy,), node, node.operands[0])


class SumPoolGrad(Op):
    """For each element of x, the sum of the numbers of all windows that read it."""

    name = "sum_pool_grad"
    attributes = _ATTRIBUTES

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        check_dtype(types, FLOATS, "d")
        dtype, x = target(declared)
        what = describe(types, "d")
        out = _pooled(x, attributes, what)
        refuse_unless(
            types[0] == (dtype, out), f"d must be {type_text(dtype, out)}: {what}"
        )
        return [(dtype, x)]

    def reference(self, context, arrays, node):
        (dy,) = arrays
        shape = context.result(node)[1]
        padded = _padded(np.zeros(shape, dy.dtype), node.attributes)
        for _, window in _windows(padded, dy.shape, node.attributes):
            window += dy
        return [_inside(padded, shape, node.attributes)]

    def grad(self, node, index, g):
        return emit("sum_pool", (g,), node.attributes)


def _emit(op, operands, node, x):
    return emit(op, operands, node.attributes, [x.type])


def _check_places(places, out, what):
    refuse_unless(
        places == ("i32", out), f"places must be {type_text('i32', out)}: {what}"
    )


def _attributes(op, x, kernel_size, strides, padding, dilations, name):
    check_tensor(x, op, name)
    axes = max(len(x.shape) - 2, 0)
    where = f"[{op} {name or op}]"
    attributes = {
        "dilations": numbers_by_axis(dilations, axes, "dilations", where),
        "kernel": numbers_by_axis(kernel_size, axes, "kernel_size", where),
        "strides": numbers_by_axis(strides, axes, "strides", where),
    }
    attributes["padding"] = padding_of(
        padding, x.shape[1:-1], attributes["kernel"], attributes, where
    )
    return attributes


@public
def max_pool(
    x: Tensor,
    kernel_size: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilations: int | Sequence[int] = 1,
    name: str | None = None,
) -> Tensor:
    """Return the largest element of each window.

    Parameters
    ----------
    x : Tensor
        ``[B, *spatial, channels]`` with one to three spatial axes.
    kernel_size, strides, dilations : int or sequence of int
        For all spatial axes, or one each.
    padding : {"SAME", "VALID"} or sequence of (before, after)
        As in `convolution`; padding is never the largest. A window that lies in
        the padding whole gives 0.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        ``[B, *positions, channels]``. Its gradient goes to the first of equal elements.
    """
    attributes = _attributes(
        "max_pool", x, kernel_size, strides, padding, dilations, name
    )
    return emit("max_pool", (x,), attributes, None, name)[0]


@public
def sum_pool(
    x: Tensor,
    kernel_size: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilations: int | Sequence[int] = 1,
    name: str | None = None,
) -> Tensor:
    """Return the sum of each window.

    Parameters
    ----------
    x : Tensor
        ``[B, *spatial, channels]`` with one to three spatial axes.
    kernel_size, strides, dilations : int or sequence of int
        For all spatial axes, or one each.
    padding : {"SAME", "VALID"} or sequence of (before, after)
        As in `convolution`; padding counts as 0.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        ``[B, *positions, channels]``.
    """
    attributes = _attributes(
        "sum_pool", x, kernel_size, strides, padding, dilations, name
    )
    return emit("sum_pool", (x,), attributes, None, name)


@public
def avg_pool(
    x: Tensor,
    kernel_size: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: Padding = "VALID",
    dilations: int | Sequence[int] = 1,
    name: str | None = None,
) -> Tensor:
    """Return the mean of each window over its elements.

    PyTorch's default counts padding as 0, TensorFlow and Keras do not count it.

    Parameters
    ----------
    x : Tensor
        ``[B, *spatial, channels]`` with one to three spatial axes.
    kernel_size, strides, dilations : int or sequence of int
        For all spatial axes, or one each.
    padding : {"SAME", "VALID"} or sequence of (before, after)
        As in `convolution`; padding does not count.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        ``[B, *positions, channels]``.
    """
    attributes = _attributes(
        "avg_pool", x, kernel_size, strides, padding, dilations, name
    )
    total = emit("sum_pool", (x,), attributes)
    if not all(type(size) is int for size in x.shape[1:]):
        # How many elements of a row each window has is seen when its size is.
        ones = ops.constant(1.0, x.dtype, (*x.shape[:-1], 1))
        count = ops.maximum(emit("sum_pool", (ones,), attributes), 1.0)
        return ops.div(total, count, name=name)
    shares = _shares(x.shape, total.shape, attributes)
    if len(set(shares)) == 1:
        return ops.mul(total, shares[0], name=name)
    shares = ops.constant_list(shares, x.dtype)
    shares = ops.reshape(shares, (1, *total.shape[1:-1], 1))
    return ops.mul(total, shares, name=name)


def _shares(shape, out, attributes):
    """Return 1 / count of the elements in each window of an image; of none, 1."""
    shape, out = (1, *shape[1:-1], 1), (1, *out[1:-1], 1)
    padded = _padded(np.ones(shape), attributes)
    counts = sum(window for _, window in _windows(padded, out, attributes))
    return (1 / np.maximum(counts, 1)).ravel().tolist()
