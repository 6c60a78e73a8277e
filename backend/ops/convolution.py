"""Convolutions over one to three spatial axes, and what their gradients are.

Values are [B, *spatial, channels], filters [*kernel, channels / groups, outputs]. The
three ops are each other's gradients: each is linear in both operands, and together they
are all that a convolution's gradients of any order need.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from slimlearn.backend.graph import FLOATS, Tensor, is_symbolic, type_text
from slimlearn.backend.op import (
    Op,
    Refusal,
    check_count,
    check_dtype,
    check_tensor,
    describe,
    emit,
    public,
    refuse_unless,
    takes,
)
from slimlearn.backend.ops import structure
from slimlearn.backend.ops.contraction import matmul
from slimlearn.backend.ops.fused import infer_region
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

_ATTRIBUTES = takes(dilations=list, groups=int, padding=list, strides=list)


class Geometry:
    """The sizes of one convolution, checked; `x` and `filters` are shapes."""

    def __init__(self, x, filters, attributes, what):
        axes = len(x) - 2
        refuse_unless(
            1 <= axes <= 3 and len(filters) == axes + 2,
            f"needs [B, *spatial, channels] of 1 to 3 spatial axes and "
            f"[*kernel, channels, outputs]: {what}",
        )
        refuse_unless(
            are_sizes(x) and all(type(size) is int for size in filters),
            f"needs spatial axes, channels and kernel of known size: {what}",
        )
        self.attributes = attributes
        _check_attributes(attributes, axes)
        check_padded(x, attributes)
        self.groups = attributes["groups"]
        self.kernel = filters[:axes]
        channels, inner, outputs = x[-1], filters[-2], filters[-1]
        if channels != inner * self.groups:
            share = "" if self.groups == 1 else f" in each of {self.groups} groups"
            raise Refusal(
                f"the filters read {inner} channels{share}, x has {channels}: {what}"
            )
        refuse_unless(
            channels >= 1 and outputs >= 1, f"needs channels and outputs: {what}"
        )
        refuse_unless(
            outputs % self.groups == 0,
            f"{outputs} outputs are not {self.groups} equal groups: {what}",
        )
        self.x, self.filters = tuple(x), tuple(filters)
        out = tuple(
            out_size(x[1 + axis], self.kernel[axis], attributes, axis, what)
            for axis in range(axes)
        )
        self.out = (x[0], *out, outputs)

    def windows(self, padded):
        """Yield each tap of the kernel and what all windows read there."""
        for tap in itertools.product(*map(range, self.kernel)):
            yield tap, strided(padded, tap, self.out[1:-1], self.attributes)

    def grouped(self, array):
        """Return [rows, ..., channels] as [groups, elements, channels of a group]."""
        array = array.reshape(-1, self.groups, array.shape[-1] // self.groups)
        return array.transpose(1, 0, 2)

    def tap(self, filters, tap):
        """Return the matrix of one tap as [groups, channels, outputs]."""
        inner, outputs = self.filters[-2:]
        matrix = filters[tap].reshape(inner, self.groups, outputs // self.groups)
        return matrix.transpose(1, 0, 2)

    def padded(self, x):
        """Return x with its zeros around."""
        return np.pad(x, ((0, 0), *pad_widths(self.attributes), (0, 0)))

    def forward(self, x, filters):
        """Return the convolution of two arrays."""
        y = 0
        for tap, window in self.windows(self.padded(x)):
            y = y + self.grouped(window) @ self.tap(filters, tap)
        return y.transpose(1, 0, 2).reshape(self.out).astype(x.dtype)

    def input_grad(self, dy, filters):
        """Return what it gives back to its input."""
        padded = self.padded(np.zeros(self.x, dy.dtype))
        rows = self.grouped(dy)
        for tap, window in self.windows(padded):
            back = rows @ self.tap(filters, tap).transpose(0, 2, 1)
            window += back.transpose(1, 0, 2).reshape(window.shape)
        inside = zip(pad_widths(self.attributes), self.x[1:-1], strict=True)
        x = padded[(slice(None), *(slice(p[0], p[0] + n) for p, n in inside))]
        return np.ascontiguousarray(x)

    def filter_grad(self, x, dy):
        """Return what it gives back to its filters."""
        result = np.empty(self.filters, x.dtype)
        rows = self.grouped(dy)
        for tap, window in self.windows(self.padded(x)):
            matrix = self.grouped(window).transpose(0, 2, 1) @ rows
            result[tap] = matrix.transpose(1, 0, 2).reshape(self.filters[-2:])
        return result


def _check_attributes(attributes, axes):
    check_numbers(attributes, "strides", axes, 1)
    check_numbers(attributes, "dilations", axes, 1)
    check_numbers(attributes, "padding", 2 * axes, 0)
    groups = attributes["groups"]
    refuse_unless(groups >= 1, f"groups={groups} must be 1 or more")


def _two(types, letters):
    check_count(types, 2)
    check_dtype(types, FLOATS, letters)
    return types[0][1], types[1][1], describe(types, letters)


def _declared(declared, types):
    if not declared or len(declared) != 1 or declared[0][0] != types[0][0]:
        raise Refusal("needs its one result type, of the operands' dtype")
    return declared[0][1]


class Convolution(Op):
    """Sums of products of windows of x with filters (cross-correlation)."""

    name = "convolution"
    attributes = _ATTRIBUTES
    results = None
    regions = 1
    tape_region = True
    product = True

    def infer(self, types, attributes, declared=None, regions=()):
        refuse_unless(len(types) >= 2, f"takes 2 operands, got {len(types)}")
        x, filters, what = _two(types[:2], "xf")
        dtype, out = types[0][0], Geometry(x, filters, attributes, what).out
        if not regions:
            check_count(types, 2)
            return [(dtype, out)]
        return infer_region(regions[0], [(dtype, out), *types[2:]], out)

    def reference(self, context, arrays, node):
        x, filters = arrays[:2]
        y = Geometry(x.shape, filters.shape, node.attributes, "").forward(x, filters)
        if not node.regions:
            return [y]
        return context.region(node.regions[0], [y, *arrays[2:]])

    def grad(self, node, index, *output_gradients):
        if node.regions:
            return super().grad(node, index, *output_gradients)
        (dy,) = output_gradients
        x, filters = node.operands
        if index == 0:
            return _linear("input_grad", dy, filters, node.attributes, x.shape)
        return _linear("filter_grad", x, dy, node.attributes, filters.shape)

    def row_local(self, node):
        return not is_symbolic(node.operands[1].shape, "B")


class ConvolutionInputGrad(Op):
    """What a convolution's result gives back to its input: its transpose in x."""

    name = "convolution_input_grad"
    attributes = _ATTRIBUTES
    results = None
    regions = 1
    tape_region = True
    product = True

    def infer(self, types, attributes, declared=None, regions=()):
        refuse_unless(len(types) >= 2, f"takes 2 operands, got {len(types)}")
        dy, filters, what = _two(types[:2], "df")
        # A region yields values of the product's type: the first tells its shape.
        dtype = types[0][0]
        if regions:
            x = regions[0].parameters[0].shape
        else:
            x = _declared(declared, types)
        out = Geometry(x, filters, attributes, what).out
        if tuple(dy) != out:
            raise Refusal(
                f"for {type_text(dtype, x)}, d is {type_text(dtype, out)}: {what}"
            )
        if not regions:
            check_count(types, 2)
            return [(dtype, tuple(x))]
        return infer_region(regions[0], [(dtype, tuple(x)), *types[2:]], tuple(x))

    def reference(self, context, arrays, node):
        dy, filters = arrays[:2]
        if node.regions:
            wanted = context.type(node.regions[0].parameters[0])[1]
        else:
            wanted = context.result(node)[1]
        geometry = Geometry(wanted, filters.shape, node.attributes, "")
        x = geometry.input_grad(dy, filters)
        if not node.regions:
            return [x]
        return context.region(node.regions[0], [x, *arrays[2:]])

    def grad(self, node, index, *output_gradients):
        if node.regions:
            return super().grad(node, index, *output_gradients)
        (g,) = output_gradients
        dy, filters = node.operands
        if index == 0:
            return emit("convolution", (g, filters), node.attributes)
        return _linear("filter_grad", g, dy, node.attributes, filters.shape)

    def row_local(self, node):
        return not is_symbolic(node.operands[1].shape, "B")


class ConvolutionFilterGrad(Op):
    """What a convolution's result gives back to its filters: a sum over all pixels."""

    name = "convolution_filter_grad"
    attributes = _ATTRIBUTES
    product = True

    def infer(self, types, attributes, declared=None, regions=()):
        x, dy, what = _two(types, "xd")
        filters = _declared(declared, types)
        out = Geometry(x, filters, attributes, what).out
        if tuple(dy) != out:
            raise Refusal(
                f"for filters of {type_text(types[0][0], filters)}, d is "
                f"{type_text(types[0][0], out)}: {what}"
            )
        return [(types[0][0], tuple(filters))]

    def reference(self, context, arrays, node):
        x, dy = arrays
        filters = context.result(node)[1]
        geometry = Geometry(x.shape, filters, node.attributes, "")
        return [geometry.filter_grad(x, dy)]

    def grad(self, node, index, dy):
        x, out = node.operands
        if index == 0:
            return _linear("input_grad", out, dy, node.attributes, x.shape)
        return emit("convolution", (x, dy), node.attributes)

    def row_local(self, node):
        return not is_symbolic(node.operands[0].shape, "B")


def _linear(which, a, b, attributes, shape):
    return emit(f"convolution_{which}", (a, b), attributes, [(a.dtype, shape)])


@public
def convolution(
    x: Tensor,
    filters: Tensor,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilations: int | Sequence[int] = 1,
    groups: int = 1,
    name: str | None = None,
) -> Tensor:
    """Return the sums of products of windows of `x` with `filters`.

    As in every network library it is a cross-correlation: filters are not mirrored.

    Parameters
    ----------
    x : Tensor
        ``[B, *spatial, channels]`` with one to three spatial axes.
    filters : Tensor
        ``[*kernel, channels / groups, outputs]``.
    strides, dilations : int or sequence of int
        For all spatial axes, or one each.
    padding : {"SAME", "VALID"} or sequence of (before, after)
        Zeros around the spatial axes: SAME, so many that the result has
        ceil(size / stride) positions, one more behind than before where they are odd
        (TensorFlow's rule); VALID, none.
    groups : int
        Channels and outputs in so many groups that do not see each other.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        ``[B, *positions, outputs]``.

    Raises
    ------
    ValueError
        If shapes do not fit, or a kernel is larger than what it runs over.
    """
    check_tensor(x, "convolution", name)
    check_tensor(filters, "convolution", name)
    axes = max(len(x.shape) - 2, 0)
    where = f"[convolution {name or 'convolution'}]"
    attributes = {
        "dilations": numbers_by_axis(dilations, axes, "dilations", where),
        "groups": groups,
        "strides": numbers_by_axis(strides, axes, "strides", where),
    }
    attributes["padding"] = padding_of(
        padding, x.shape[1:-1], filters.shape[:axes], attributes, where
    )
    kernel = tuple(filters.shape[:axes])
    dense = (
        groups == 1
        and len(filters.shape) == len(x.shape) >= 3
        and not any(attributes["padding"])
    )
    if dense and set(kernel) == set(attributes["strides"]) == {1}:
        # A product of every pixel's channels.
        flat = structure.reshape(filters, filters.shape[-2:])
        return matmul(x, flat, name=name)
    one = dense and set(attributes["dilations"]) == {1}
    if one and x.shape[1:] == filters.shape[:-1]:
        # One window, all that there is: a product of whole images.
        size, outputs = math.prod(filters.shape[:-1]), filters.shape[-1]
        flat = structure.reshape(filters, (size, outputs))
        image = structure.reshape(x, (x.shape[0], *[1] * axes, size))
        return matmul(image, flat, name=name)
    return emit("convolution", (x, filters), attributes, None, name)


@public
def convolution_transpose(
    x: Tensor,
    filters: Tensor,
    output_size: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilations: int | Sequence[int] = 1,
    groups: int = 1,
    name: str | None = None,
) -> Tensor:
    """Return what `convolution` would have to read to be `x`, its transpose.

    Parameters
    ----------
    x : Tensor
        ``[B, *positions, outputs]``: what the convolution gives.
    filters : Tensor
        ``[*kernel, channels / groups, outputs]``: the convolution's.
    output_size : int or sequence of int
        The spatial sizes of the result: those that the convolution reads.
    strides, padding, dilations, groups
        The convolution's.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        ``[B, *output_size, channels]``.
    """
    check_tensor(x, "convolution_input_grad", name)
    check_tensor(filters, "convolution_input_grad", name)
    axes = max(len(x.shape) - 2, 0)
    where = f"[convolution_transpose {name or 'convolution_transpose'}]"
    size = numbers_by_axis(output_size, axes, "output_size", where)
    attributes = {
        "dilations": numbers_by_axis(dilations, axes, "dilations", where),
        "groups": groups,
        "strides": numbers_by_axis(strides, axes, "strides", where),
    }
    attributes["padding"] = padding_of(
        padding, tuple(size), filters.shape[:axes], attributes, where
    )
    shape = (x.shape[0], *size, filters.shape[-2] * groups)
    return emit(
        "convolution_input_grad", (x, filters), attributes, [(x.dtype, shape)], name
    )
