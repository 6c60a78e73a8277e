"""Ops that choose elements and say where they stood: top_k, a maximum with positions.

NaN counts as larger than any number, as in `argmax`; of equals the first comes first.
"""

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import NUMBERS, Tensor, is_symbolic, type_text
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
)
from slimlearn.backend.ops import structure


class MaxWithArgmax(Op):
    """The largest element and its position along an axis."""

    name = "max_with_argmax"
    attributes = takes(axis=int)
    results = 2

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        check_dtype(types, NUMBERS)
        (dtype, shape), axis = types[0], attributes["axis"]
        ok = 0 <= axis < len(shape) and shape[axis] != 0
        refuse_unless(ok, f"axis {axis} is out of range or empty: {describe(types)}")
        rest = shape[:axis] + shape[axis + 1 :]
        return [(dtype, rest), ("i64", rest)]

    def reference(self, context, arrays, node):
        axis = node.attributes["axis"]
        at = np.argmax(arrays[0], axis=axis)
        largest = np.take_along_axis(arrays[0], np.expand_dims(at, axis), axis)
        return [largest.squeeze(axis), at]

    def grad(self, node, index, dy, _):
        shape, axis = node.operands[0].shape, node.attributes["axis"]
        kept = (*shape[:axis], 1, *shape[axis + 1 :])
        places = ops.iota(shape[axis], "i64")
        places = ops.reshape(places, (shape[axis], *[1] * (len(shape) - axis - 1)))
        at = ops.equal(ops.reshape(node.results[1], kept), places)
        return ops.select(at, ops.reshape(dy, kept), 0.0)

    def row_local(self, node):
        shape = node.operands[0].shape
        mixes = node.attributes["axis"] == 0 and is_symbolic(shape[:1], "B")
        return structure.leads(shape) and not mixes


class TopK(Op):
    """The k largest elements along the last axis, falling, and their positions."""

    name = "top_k"
    attributes = takes(k=int)
    results = 2

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        check_dtype(types, NUMBERS)
        (dtype, shape), k = types[0], attributes["k"]
        refuse_unless(len(shape) >= 1, "needs at least one dimension")
        ok = k >= 1 and (type(shape[-1]) is not int or k <= shape[-1])
        refuse_unless(ok, f"there are no {k} largest elements: {describe(types)}")
        return [(dtype, (*shape[:-1], k)), ("i64", (*shape[:-1], k))]

    def reference(self, context, arrays, node):
        (a,) = arrays
        # Falling, and the first of equals first: the stable rising order from behind.
        order = np.argsort(a[..., ::-1], axis=-1, kind="stable")[..., ::-1]
        at = a.shape[-1] - 1 - order[..., : node.attributes["k"]]
        return [np.take_along_axis(a, at, -1), at]

    def grad(self, node, index, dy, _):
        shape, k = node.operands[0].shape, node.attributes["k"]
        column = (*shape[:-1], k, 1)
        places = ops.iota(shape[-1], "i64")
        at = ops.equal(ops.reshape(node.results[1], column), places)
        return ops.reduce_sum(ops.select(at, ops.reshape(dy, column), 0.0), -2)

    def row_local(self, node):
        shape = node.operands[0].shape
        return structure.leads(shape) and len(shape) > 1


@public
def max_with_argmax(
    a: Tensor, axis: int = -1, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """Return the largest element along `axis` and its position.

    Parameters
    ----------
    a : Tensor
        Of numbers.
    axis : int
    name : str, optional

    Returns
    -------
    values, positions : Tensor
        Of the shape of `a` without the axis; positions are i64. NaN counts as the
        largest, of equals the first is taken; the gradient goes to that element alone,
        while `reduce_max` shares it among equals.
    """
    axis = structure.axis_of(a, axis, "max_with_argmax", name)
    return emit("max_with_argmax", (a,), {"axis": axis}, None, name)


@public
def top_k(a: Tensor, k: int = 1, name: str | None = None) -> tuple[Tensor, Tensor]:
    """Return the `k` largest elements along the last axis and their positions.

    Parameters
    ----------
    a : Tensor of shape [..., n]
        Of numbers.
    k : int
        From 1 to n.
    name : str, optional

    Returns
    -------
    values, positions : Tensor of shape [..., k]
        The largest first; positions are i64. NaN counts as larger than any number, of
        equals the first comes first. The gradient goes to the elements that were taken.
    """
    check_tensor(a, "top_k", name)
    return emit("top_k", (a,), {"k": k}, None, name)


@public
def sort(a: Tensor, axis: int = -1, name: str | None = None) -> Tensor:
    """Return the elements in rising order along an axis.

    Parameters
    ----------
    a : Tensor of numbers
    axis : int, default=-1
        Of fixed size, at least 1. The gradient compares each with each along it.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        As `a`; NaN comes last.

    Raises
    ------
    ValueError
        If there is no such axis, or it has no fixed size.
    """
    return _sorted(a, axis, "sort", name)[0]


@public
def argsort(a: Tensor, axis: int = -1, name: str | None = None) -> Tensor:
    """Return where the elements stand that are in rising order along an axis.

    Parameters
    ----------
    a : Tensor of numbers
    axis : int, default=-1
        Of fixed size, at least 1.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of i64
        Of the shape of `a`. Of equals the first comes first, NaN last; there is no
        gradient.

    Raises
    ------
    ValueError
        If there is no such axis, or it has no fixed size.
    """
    return _sorted(a, axis, "argsort", name)[1]


def _sorted(a: Tensor, axis: int, op: str, name: str | None) -> tuple[Tensor, Tensor]:
    check_tensor(a, op, name)
    at = structure.axis_of(a, axis, op, name)
    if a.dtype not in NUMBERS:
        raise ValueError(
            f"[{op} {name or op}] a is {type_text(*a.type)}, needs numbers: cast it"
        )
    size = a.shape[at]
    if type(size) is not int or size == 0:
        raise ValueError(
            f"[{op} {name or op}] axis {at} of {type_text(*a.type)} has no fixed size "
            "of at least 1"
        )
    # Falling, of equals the first of the turned ones: turned again, rising and stable.
    values, places = top_k(ops.flip(ops.swapaxes(a, at, -1)), size)
    places = ops.sub(size - 1, places)
    return tuple(
        ops.identity(ops.swapaxes(ops.flip(x), at, -1), wish)
        for x, wish in (
            (values, name or op),
            (places, name or op),
        )
    )
