"""Ops whose operands say which elements: gather, scatter_add, one_hot."""

import numpy as np

from slimlearn.backend.graph import FLOATS, INTEGERS, Tensor, is_symbolic
from slimlearn.backend.op import (
    Op,
    Refusal,
    check_count,
    check_dtype,
    check_shape,
    check_tensor,
    describe,
    dtype_of,
    emit,
    public,
    refuse_unless,
    takes,
    target,
)
from slimlearn.backend.ops import structure
from slimlearn.backend.shape import as_dim

BAD_INDEX = 1


class Gather(Op):
    """Rows of a table, by number."""

    name = "gather"

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 2)
        check_dtype(types[1:], INTEGERS, ["ids"])
        (dtype, table), (_, ids) = types
        refuse_unless(
            len(table) >= 1 and table[0] != 0,
            f"the table needs rows: {describe(types)}",
        )
        return [(dtype, tuple(ids) + tuple(table[1:]))]

    def reference(self, context, arrays, node):
        table, ids = arrays
        return [table[clamp(context, ids, table.shape[0], BAD_INDEX)]]

    def grad(self, node, index, dy):
        table, ids = node.operands
        return None if index else scatter_add(ids, dy, table.shape)

    def row_local(self, node):
        table, ids = node.operands
        return not is_symbolic(table.shape, "B") and structure.leads(ids.shape)


class ScatterAdd(Op):
    """Zeros, with updates added to the numbered rows in order of position."""

    name = "scatter_add"

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 2)
        check_dtype(types[:1], INTEGERS, ["ids"])
        check_dtype(types[1:], FLOATS, ["updates"])
        (_, ids), (dtype, updates) = types
        result_dtype, result = target(declared)
        if (
            result_dtype != dtype
            or len(result) < 1
            or result[0] == 0
            or tuple(updates) != tuple(ids) + tuple(result[1:])
        ):
            raise Refusal(
                "needs ids [..], updates [..,d…] and a result [v,d…]: "
                f"{describe([*types, declared[0]])}"
            )
        return [declared[0]]

    def reference(self, context, arrays, node):
        ids, updates = arrays
        _, shape = context.result(node)
        total = np.zeros(shape, updates.dtype)
        ids = clamp(context, ids, shape[0], BAD_INDEX).reshape(-1)
        np.add.at(total, ids, updates.reshape(ids.shape + tuple(shape[1:])))
        return [total]

    def grad(self, node, index, dy):
        return gather(dy, node.operands[0]) if index else None

    def row_local(self, node):
        return not any(is_symbolic(operand.shape, "B") for operand in node.operands)


class OneHot(Op):
    """One value at the numbered place of a new last axis, another elsewhere."""

    name = "one_hot"
    attributes = takes(off_value=float, on_value=float)

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        check_dtype(types, INTEGERS, ["ids"])
        dtype, shape = target(declared)
        refuse_unless(
            dtype in FLOATS and len(shape) > 0 and shape[:-1] == types[0][1],
            f"the result has one more axis and is f32 or f64: {describe(types)}",
        )
        return [declared[0]]

    def reference(self, context, arrays, node):
        dtype, shape = context.result(node)
        hot = np.arange(shape[-1]) == arrays[0][..., None]
        on, off = node.attributes["on_value"], node.attributes["off_value"]
        return [np.where(hot, on, off).astype(dtype)]

    def row_local(self, node):
        return structure.leads(node.results[0].shape)


def clamp(context, ids, size: int, status: int) -> np.ndarray:
    """Return `ids` moved into 0 … size - 1; if any had to move, set the status."""
    inside = np.clip(ids, 0, size - 1)
    moved = inside != ids
    if moved.any():
        context.status |= status
        first = tuple(np.argwhere(moved)[0])
        context.misplaced = context.misplaced or (int(ids[first]), size, first)
    return inside


@public
def gather(table: Tensor, ids: Tensor, name: str | None = None) -> Tensor:
    """Return rows of a table, by number.

    Parameters
    ----------
    table : Tensor of shape [v, ...]
    ids : Tensor of i32 or i64
        From 0 to v - 1; another number is an error when it comes.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        Of shape ``ids.shape + table.shape[1:]``.

    Raises
    ------
    ValueError
        If types do not fit.
    """
    return emit("gather", (table, ids), None, None, name)


@public
def scatter_add(ids: Tensor, updates: Tensor, shape, name: str | None = None) -> Tensor:
    """Return zeros, with updates added to the numbered rows.

    Parameters
    ----------
    ids : Tensor of i32 or i64, of shape [...]
        From 0 to v - 1; another number is an error when it comes.
    updates : Tensor of shape ``ids.shape + shape[1:]``
        Added in their order.
    shape : sequence of int
        Of the result: v rows.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If types or shapes do not fit.
    """
    check_tensor(updates, "scatter_add", name)
    shape = check_shape(shape, "scatter_add", name)
    return emit("scatter_add", (ids, updates), None, [(updates.dtype, shape)], name)


@public
def segment_sum(
    a: Tensor, segment_ids: Tensor, num_segments: int, name: str | None = None
) -> Tensor:
    """Return the sums of the rows that have the same number.

    Parameters
    ----------
    a : Tensor of shape [n, ...]
    segment_ids : Tensor of i32 or i64, of shape [n]
        From 0 to `num_segments` - 1, in any order; another number is an error when it
        comes.
    num_segments : int
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of shape [num_segments, ...]
        Zero where no row has the number.

    Raises
    ------
    ValueError
        If types or shapes do not fit.
    """
    check_tensor(a, "segment_sum", name)
    if isinstance(num_segments, int) and num_segments < 1:
        raise ValueError(
            f"[segment_sum {name or 'segment_sum'}] num_segments is {num_segments}, "
            "needs at least 1"
        )
    return scatter_add(segment_ids, a, (num_segments, *a.shape[1:]), name)


@public
def one_hot(
    ids: Tensor,
    depth: int,
    on_value: float = 1.0,
    off_value: float = 0.0,
    dtype=None,
    name: str | None = None,
) -> Tensor:
    """Return one value at the numbered place of a new last axis, another elsewhere.

    Parameters
    ----------
    ids : Tensor of i32 or i64
        Places from 0 to `depth` - 1; others give `off_value` everywhere.
    depth : int
        The length of the new axis.
    on_value, off_value : float
    dtype : "f32" or "f64", optional
        By default the precision of the network.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        Of shape ``ids.shape + (depth,)``.

    Raises
    ------
    ValueError
        If types do not fit.
    """
    attributes = {"off_value": float(off_value), "on_value": float(on_value)}
    check_tensor(ids, "one_hot", name)
    shape = ids.shape + (as_dim(depth),)
    dtype = dtype_of(dtype, "one_hot", name)
    return emit("one_hot", (ids,), attributes, [(dtype, shape)], name)
