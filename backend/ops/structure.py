"""Ops that give elements another shape: reshape, transpose, broadcast."""

import operator

import numpy as np

from slimlearn.backend.graph import Tensor, is_symbolic, type_text
from slimlearn.backend.op import (
    Op,
    Refusal,
    check_count,
    check_shape,
    check_tensor,
    describe,
    emit,
    public,
    refuse_unless,
    takes,
    target,
)
from slimlearn.backend.ops import reduction
from slimlearn.backend.shape import broadcast_shapes, exact_divide, product


def leads(shape: tuple) -> bool:
    """Return whether `shape` mentions B in its leading dimension only."""
    return not is_symbolic(shape[1:], "B")


class Reshape(Op):
    """The same elements in row-major order under another shape."""

    name = "reshape"
    alias = True

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        dtype, shape = target(declared)
        (old_dtype, old) = types[0]
        refuse_unless(dtype == old_dtype, f"cannot turn {old_dtype} into {dtype}")
        if product(old) != product(shape):
            rows = is_symbolic(old, "B") and not is_symbolic(shape, "B")
            advice = ": keep the batch, as in reshape(a, (-1, …))" if rows else ""
            raise Refusal(
                f"element counts differ: a is {type_text(dtype, old)}, "
                f"the result {type_text(dtype, shape)}{advice}"
            )
        return [declared[0]]

    def reference(self, context, arrays, node):
        return [arrays[0].reshape(context.result(node)[1])]

    def grad(self, node, index, dy):
        return reshape(dy, node.operands[0].shape)

    def row_local(self, node):
        return leads(node.operands[0].shape) and leads(node.results[0].shape)


class Recompute(Op):
    """The memory of a, for what is computed anew from it once b is there.

    What is computed from the result is no twin of what is computed from a, and cannot
    be moved before b.
    """

    name = "recompute"
    alias = True
    own = True

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 2)
        return [types[0]]

    def reference(self, context, arrays, node):
        return [arrays[0]]

    def grad(self, node, index, dy):
        return dy if index == 0 else None


class Transpose(Op):
    """Axes in another order."""

    name = "transpose"
    attributes = takes(perm=list)

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        dtype, shape = types[0]
        perm = attributes["perm"]
        refuse_unless(
            sorted(perm) == list(range(len(shape))),
            f"perm={perm} is no order of the {len(shape)} axes of {describe(types)}",
        )
        return [(dtype, tuple(shape[axis] for axis in perm))]

    def reference(self, context, arrays, node):
        return [np.ascontiguousarray(arrays[0].transpose(node.attributes["perm"]))]

    def grad(self, node, index, dy):
        perm = node.attributes["perm"]
        return transpose(dy, [perm.index(axis) for axis in range(len(perm))])

    def row_local(self, node):
        return leads(node.operands[0].shape) and leads(node.results[0].shape)


class Broadcast(Op):
    """Repeated along axes of length 1 and new leading axes."""

    name = "broadcast"
    in_tape = True

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        dtype, shape = target(declared)
        old_dtype, old = types[0]
        try:
            fits = broadcast_shapes(old, shape) == tuple(shape)
        except ValueError:
            fits = False
        if dtype != old_dtype or not fits:
            raise Refusal(
                f"{describe(types)}: it does not broadcast to {type_text(dtype, shape)}"
            )
        return [declared[0]]

    def reference(self, context, arrays, node):
        return [np.broadcast_to(arrays[0], context.result(node)[1]).copy()]

    def grad(self, node, index, dy):
        return reduction.sum_to(dy, node.operands[0].shape)

    def row_local(self, node):
        return leads(node.operands[0].shape) and leads(node.results[0].shape)


@public
def reshape(a: Tensor, shape, name: str | None = None) -> Tensor:
    """Return the same elements under another shape.

    Parameters
    ----------
    a : Tensor
    shape : sequence of int or dimensions, or an int
        One entry may be -1 or None and is worked out: ``(-1, 6)`` keeps the batch.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        `a` itself if it has the shape and no name is given.

    Raises
    ------
    TypeError
        If `a` is no tensor, or `shape` no shape.
    ValueError
        If the numbers of elements differ.
    """
    check_tensor(a, "reshape", name)
    if hasattr(shape, "__index__"):
        shape = (shape,)
    if hasattr(shape, "__iter__"):
        shape = [-1 if dim is None else dim for dim in shape]
    shape = check_shape(shape, "reshape", name)
    unknown = shape.count(-1)
    if unknown > 1:
        raise ValueError(
            f"[reshape {name or 'reshape'}] cannot work out {unknown} dimensions of "
            f"{list(shape)}: give all but one"
        )
    if unknown:
        at = shape.index(-1)
        rest = product(shape[:at] + shape[at + 1 :])
        missing = exact_divide(product(a.shape), rest) if rest != 0 else None
        if missing is None:
            raise ValueError(
                f"[reshape {name or 'reshape'}] cannot work out {list(shape)}: the "
                f"{product(a.shape)} elements of {type_text(*a.type)} do not divide "
                f"by {rest}"
            )
        shape = (*shape[:at], missing, *shape[at + 1 :])
    if shape == a.shape and name is None:
        return a
    return emit("reshape", (a,), None, [(a.dtype, shape)], name)


@public
def transpose(a: Tensor, axes=None, name: str | None = None) -> Tensor:
    """Return the axes in another order.

    Parameters
    ----------
    a : Tensor
    axes : sequence of int, optional
        Where each axis of the result stands in `a`; by default the order is reversed.
        Keep the batch in front, as in ``transpose(x, (0, 2, 1))``.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If `axes` is no order of all axes.
    """
    check_tensor(a, "transpose", name)
    axes = range(a.rank)[::-1] if axes is None else axes
    perm = [axis_of(a, axis, "transpose", name) for axis in axes]
    return emit("transpose", (a,), {"perm": perm}, None, name)


@public
def broadcast_to(a: Tensor, shape, name: str | None = None) -> Tensor:
    """Return `a` repeated along new leading axes and axes of length 1.

    Parameters
    ----------
    a : Tensor
    shape : sequence of int or dimensions
        Of the result, which `a` must broadcast to by NumPy's rule.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        `a` itself if it has the shape and no name is given.

    Raises
    ------
    ValueError
        If the shape does not fit.
    """
    check_tensor(a, "broadcast", name)
    shape = check_shape(shape, "broadcast", name)
    if shape == a.shape and name is None:
        return a
    return emit("broadcast", (a,), None, [(a.dtype, shape)], name)


def axis_of(a: Tensor, axis: int, op: str, name: str | None = None) -> int:
    """Return `axis` of `a` counted from the front, if there is such an axis."""
    rank = len(check_tensor(a, op, name).shape)
    if not hasattr(axis, "__index__"):
        raise TypeError(f"[{op} {name or op}] an axis is a whole number, got {axis!r}")
    if not -rank <= operator.index(axis) < rank:
        raise ValueError(
            f"[{op} {name or op}] axis {axis} is out of range: a is "
            f"{type_text(*a.type)}"
        )
    return operator.index(axis) % rank
