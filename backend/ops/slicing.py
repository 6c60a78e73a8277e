"""Ops that join tensors along an axis and take parts of them: concat, slice, pad."""

import operator

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import NUMBERS, Tensor, is_symbolic, type_text
from slimlearn.backend.op import (
    Op,
    Refusal,
    also,
    check_count,
    check_dtype,
    check_tensor,
    describe,
    emit,
    internal,
    public,
    refuse_unless,
    takes,
)
from slimlearn.backend.ops.source import constant
from slimlearn.backend.ops.structure import axis_of, leads

_ANY = NUMBERS | {"bool", "u8"}


class Concat(Op):
    """Operands one after the other along an axis."""

    name = "concat"
    attributes = takes(axis=int)

    def infer(self, types, attributes, declared=None, regions=()):
        refuse_unless(len(types) >= 1, "needs at least one operand")
        check_dtype(types[:1], _ANY)
        dtype, first = types[0]
        axis = _check_axis(attributes["axis"], first, types)
        total: object = 0
        for other_dtype, shape in types:
            if other_dtype != dtype or len(shape) != len(first):
                raise Refusal(
                    f"operands differ in type or rank: {describe(types)}: cast or "
                    "reshape them"
                )
            if shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :]:
                raise Refusal(
                    f"operands differ beside axis {axis}: {describe(types)}: all sizes "
                    "but those of that axis must agree"
                )
            total = total + shape[axis]
        return [(dtype, first[:axis] + (total,) + first[axis + 1 :])]

    def reference(self, context, arrays, node):
        return [np.concatenate(arrays, axis=node.attributes["axis"])]

    def grad(self, node, index, dy):
        axis = node.attributes["axis"]
        start: object = 0
        for operand in node.operands[:index]:
            start = start + operand.shape[axis]
        size = node.operands[index].shape[axis]
        if type(start) is not int or type(size) is not int:
            raise NotImplementedError(
                f"[concat {node.results[0].name}] no gradient along the symbolic "
                f"axis {axis}: concatenate along an axis of known size"
            )
        return _part(dy, axis, start, size)

    def row_local(self, node):
        return leads(node.results[0].shape) and (
            node.attributes["axis"] != 0 or not is_symbolic(node.results[0].shape, "B")
        )


def _part(dy, axis, start, size):
    """Return `size` elements of a gradient along an axis, or none of them."""
    if size > 0:
        return slice_(dy, axis, start, start + size)
    return constant(0.0, dy.dtype, (*dy.shape[:axis], 0, *dy.shape[axis + 1 :]))


class Slice(Op):
    """The elements start … stop - 1 along an axis."""

    name = "slice"
    attributes = takes(axis=int, start=int, stop=int)

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        dtype, shape = types[0]
        axis = _check_axis(attributes["axis"], shape, types)
        start, stop = attributes["start"], attributes["stop"]
        size = shape[axis]
        refuse_unless(
            type(size) is int,
            f"axis {axis} of {describe(types)} has no fixed size to slice",
        )
        refuse_unless(
            0 <= start < stop <= size,
            f"{start}:{stop} is no range of axis {axis} of {describe(types)}",
        )
        return [(dtype, shape[:axis] + (stop - start,) + shape[axis + 1 :])]

    def reference(self, context, arrays, node):
        start, stop = node.attributes["start"], node.attributes["stop"]
        index = [slice(None)] * node.attributes["axis"] + [slice(start, stop)]
        return [arrays[0][tuple(index)].copy()]

    def grad(self, node, index, dy):
        axis = node.attributes["axis"]
        size = node.operands[0].shape[axis]
        after = size - node.attributes["stop"]
        return pad_axis(dy, axis, node.attributes["start"], after)

    def row_local(self, node):
        return leads(node.operands[0].shape)


class Pad(Op):
    """Zeros before and after along an axis."""

    name = "pad"
    attributes = takes(after=int, axis=int, before=int)

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        check_dtype(types, NUMBERS)
        dtype, shape = types[0]
        axis = _check_axis(attributes["axis"], shape, types)
        before, after = attributes["before"], attributes["after"]
        refuse_unless(
            before >= 0 and after >= 0, f"before={before}, after={after} must be >= 0"
        )
        size = shape[axis] + before + after
        return [(dtype, shape[:axis] + (size,) + shape[axis + 1 :])]

    def reference(self, context, arrays, node):
        attributes = node.attributes
        widths = [(0, 0)] * arrays[0].ndim
        widths[attributes["axis"]] = (attributes["before"], attributes["after"])
        return [np.pad(arrays[0], widths)]

    def grad(self, node, index, dy):
        axis = node.attributes["axis"]
        size = node.operands[0].shape[axis]
        if type(size) is not int:
            raise NotImplementedError(
                f"[pad {node.results[0].name}] no gradient along the symbolic axis "
                f"{axis}: pad an axis of known size"
            )
        before = node.attributes["before"]
        return _part(dy, axis, before, size)

    def row_local(self, node):
        shape = node.operands[0].shape
        return leads(shape) and not (
            node.attributes["axis"] == 0 and is_symbolic(shape, "B")
        )


@also("concatenate")
def concat(tensors, axis: int = -1, name: str | None = None) -> Tensor:
    """Return tensors one after the other along an axis.

    Parameters
    ----------
    tensors : sequence of Tensor
        Of one type, and of one shape but along the axis.
    axis : int, default=-1
        The last axis by default (NumPy's is the first, which is the batch here).
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError
        If something is no tensor.
    ValueError
        If there is none, or they do not fit.
    """
    tensors = check_tensors(tensors, "concat", name)
    axis = axis_of(tensors[0], axis, "concat", name)
    if len(tensors) == 1 and name is None:
        return tensors[0]
    return emit("concat", tensors, {"axis": axis}, None, name)


@public
def pad(a: Tensor, pad_width, name: str | None = None) -> Tensor:
    """Return a tensor with zeros around it.

    Parameters
    ----------
    a : Tensor of numbers
    pad_width : sequence of (before, after)
        How many zeros come before and after along each axis: ``[(0, 0), (1, 2)]``.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        `a` itself if there is nothing to add.

    Raises
    ------
    TypeError
        If `pad_width` is no sequence of pairs of whole numbers.
    ValueError
        If there is not one pair an axis, or a number is negative.
    """
    widths = check_widths(a, pad_width, name)
    wanted = [axis for axis, pair in enumerate(widths) if pair != (0, 0)]
    # The last axis first: what computes `a` may store rows that lie apart, no pad does.
    for axis in reversed(wanted):
        a = pad_axis(a, axis, *widths[axis], name if axis == wanted[0] else None)
    return a


@internal
def slice_(a: Tensor, axis: int, start: int, stop: int, name: str | None = None):
    """Return elements `start` … `stop` - 1 of `a` along `axis`."""
    axis = axis_of(a, axis, "slice", name)
    if start == 0 and stop == a.shape[axis] and name is None:
        return a
    attributes = {"axis": axis, "start": start, "stop": stop}
    return emit("slice", (a,), attributes, None, name)


@internal
def pad_axis(
    a: Tensor, axis: int, before: int = 0, after: int = 0, name: str | None = None
) -> Tensor:
    """Return `a` with that many zeros before and after it along `axis`."""
    axis = axis_of(a, axis, "pad", name)
    if before == after == 0 and name is None:
        return a
    attributes = {"after": after, "axis": axis, "before": before}
    return emit("pad", (a,), attributes, None, name)


def add_padded(a: Tensor, b: Tensor) -> Tensor:
    """Return a + b; side by side, where zeros around each stand beside the other.

    So the gradients of a tensor's parts are joined, and not added part by part.
    """
    if not (a.node is not None and b.node is not None and a.shape == b.shape):
        return ops.add(a, b)
    if a.node.op != "pad" or b.node.op != "pad":
        return ops.add(a, b)
    axis = a.node.attributes["axis"]
    if axis != b.node.attributes["axis"]:
        return ops.add(a, b)
    if a.node.attributes["before"] > b.node.attributes["before"]:
        a, b = b, a
    before, middle = a.node.attributes["before"], b.node.attributes["before"]
    parts = [_joined(part.node.operands[0], axis) for part in (a, b)]
    size = a.node.operands[0].shape[axis]
    if type(size) is not int or before + size != middle:
        return ops.add(a, b)
    joined = concat([*parts[0], *parts[1]], axis)
    return pad_axis(joined, axis, before, b.node.attributes["after"])


def _joined(a: Tensor, axis: int) -> tuple[Tensor, ...]:
    """Return what `a` was put together from along an axis."""
    node = a.node
    if node is not None and node.op == "concat" and node.attributes["axis"] == axis:
        return node.operands
    return (a,)


def check_widths(a: Tensor, pad_width, name: str | None) -> list[tuple[int, int]]:
    """Return paddings as a pair of whole numbers for each axis of `a`."""
    rank = len(check_tensor(a, "pad", name).shape)
    try:
        widths = [tuple(map(operator.index, pair)) for pair in pad_width]
        fits = {len(pair) for pair in widths} <= {2}
    except TypeError:
        fits = False
    if not fits:
        raise TypeError(
            f"[pad {name or 'pad'}] pad_width has a pair of whole numbers for each "
            f"axis, as in [(0, 0), (1, 2)]; got {pad_width!r}"
        )
    if len(widths) != rank:
        raise ValueError(
            f"[pad {name or 'pad'}] pad_width has {len(widths)} pairs, a is "
            f"{type_text(*a.type)}: give one for each axis"
        )
    if any(number < 0 for pair in widths for number in pair):
        raise ValueError(f"[pad {name or 'pad'}] {pad_width!r} must be >= 0")
    return widths


def check_tensors(tensors, op: str, name: str | None = None) -> tuple[Tensor, ...]:
    """Return a sequence of at least one tensor as a tuple, or refuse it."""
    if isinstance(tensors, Tensor):
        raise TypeError(
            f"[{op} {name or op}] needs a list of tensors, as in {op}([a, b], 1)"
        )
    tensors = tuple(check_tensor(tensor, op, name) for tensor in tensors)
    if not tensors:
        raise ValueError(f"[{op} {name or op}] needs at least one tensor")
    return tensors


def _check_axis(axis: int, shape: tuple, types) -> int:
    refuse_unless(
        0 <= axis < len(shape), f"axis {axis} is out of range: {describe(types)}"
    )
    return axis
