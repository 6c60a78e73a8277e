"""Ops that move elements: reshape, transpose, broadcast, concat, slice, pad."""

import operator

import numpy as np

from slimlearn.backend.graph import NUMBERS, Tensor, is_symbolic, type_text
from slimlearn.backend.op import (
    Op,
    Refusal,
    check_count,
    check_dtype,
    check_shape,
    check_tensor,
    describe,
    emit,
    refuse_unless,
    takes,
    target,
)
from slimlearn.backend.ops import reduction
from slimlearn.backend.shape import broadcast_shapes, exact_divide, product

_ANY = NUMBERS | {"bool", "u8"}


def leads(shape: tuple) -> bool:
    """Return whether `shape` mentions B in its leading dimension only."""
    return not is_symbolic(shape[1:], "B")


class Reshape(Op):
    """The same elements in row-major order under another shape."""

    name = "reshape"
    alias = True

    def infer(self, types, attributes, declared=None, region=None):
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


class Transpose(Op):
    """Axes in another order."""

    name = "transpose"
    attributes = takes(perm=list)

    def infer(self, types, attributes, declared=None, region=None):
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
    in_region = True

    def infer(self, types, attributes, declared=None, region=None):
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


class Concat(Op):
    """Operands one after the other along an axis."""

    name = "concat"
    attributes = takes(axis=int)

    def infer(self, types, attributes, declared=None, region=None):
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
        return slice_(dy, axis, start, start + size)

    def row_local(self, node):
        return leads(node.results[0].shape) and (
            node.attributes["axis"] != 0 or not is_symbolic(node.results[0].shape, "B")
        )


class Slice(Op):
    """The elements start … stop - 1 along an axis."""

    name = "slice"
    attributes = takes(axis=int, start=int, stop=int)

    def infer(self, types, attributes, declared=None, region=None):
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
        return pad(dy, axis, node.attributes["start"], after)

    def row_local(self, node):
        return leads(node.operands[0].shape)


class Pad(Op):
    """Zeros before and after along an axis."""

    name = "pad"
    attributes = takes(after=int, axis=int, before=int)

    def infer(self, types, attributes, declared=None, region=None):
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
        return slice_(dy, axis, before, before + size)

    def row_local(self, node):
        shape = node.operands[0].shape
        return leads(shape) and not (
            node.attributes["axis"] == 0 and is_symbolic(shape, "B")
        )


def reshape(a: Tensor, shape, name: str | None = None) -> Tensor:
    """Return `a` under `shape`; one entry may be -1 or None and is worked out."""
    check_tensor(a, "reshape", name)
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


def transpose(a: Tensor, perm=None, name: str | None = None) -> Tensor:
    """Return `a` with its axes in the order `perm` (reversed by default)."""
    check_tensor(a, "transpose", name)
    perm = range(a.rank)[::-1] if perm is None else perm
    perm = [axis_of(a, axis, "transpose", name) for axis in perm]
    return emit("transpose", (a,), {"perm": perm}, None, name)


def broadcast_to(a: Tensor, shape, name: str | None = None) -> Tensor:
    """Return `a` repeated to `shape` by NumPy's rule."""
    check_tensor(a, "broadcast", name)
    shape = check_shape(shape, "broadcast", name)
    if shape == a.shape and name is None:
        return a
    return emit("broadcast", (a,), None, [(a.dtype, shape)], name)


def concat(tensors, axis: int = -1, name: str | None = None) -> Tensor:
    """Return `tensors` one after the other along `axis`."""
    if isinstance(tensors, Tensor):
        raise TypeError(
            f"[concat {name or 'concat'}] needs a list of tensors, as in "
            "concat([a, b], 1)"
        )
    tensors = tuple(tensors)
    if not tensors:
        raise ValueError(f"[concat {name or 'concat'}] needs at least one tensor")
    axis = axis_of(tensors[0], axis, "concat", name)
    if len(tensors) == 1 and name is None:
        return tensors[0]
    return emit("concat", tensors, {"axis": axis}, None, name)


def slice_(a: Tensor, axis: int, start: int, stop: int, name: str | None = None):
    """Return elements `start` … `stop` - 1 of `a` along `axis`."""
    axis = axis_of(a, axis, "slice", name)
    if start == 0 and stop == a.shape[axis] and name is None:
        return a
    attributes = {"axis": axis, "start": start, "stop": stop}
    return emit("slice", (a,), attributes, None, name)


def pad(
    a: Tensor, axis: int, before: int = 0, after: int = 0, name: str | None = None
) -> Tensor:
    """Return `a` with that many zeros before and after it along `axis`."""
    axis = axis_of(a, axis, "pad", name)
    if before == after == 0 and name is None:
        return a
    attributes = {"after": after, "axis": axis, "before": before}
    return emit("pad", (a,), attributes, None, name)


def getitem(a: Tensor, key) -> Tensor:
    """Return ``a[key]`` for ranges of step 1, integers, ``...`` and ``None``."""
    keys = list(key) if isinstance(key, tuple) else [key]
    given = sum(k is not None and k is not Ellipsis for k in keys)
    if given > len(a.shape):
        raise IndexError(
            f"%{a.name}: {given} indices, but the tensor is {type_text(*a.type)}"
        )
    for k in keys:
        if not (k is None or k is Ellipsis or isinstance(k, slice)) and (
            isinstance(k, Tensor) or not hasattr(k, "__index__")
        ):
            raise TypeError(
                f"%{a.name}: an index is a whole number, a range, ... or None, got "
                f"{k!r}: ops.gather(table, ids) picks rows by number, ops.select picks "
                "by condition"
            )
    if Ellipsis not in keys:
        keys.append(Ellipsis)
    at = keys.index(Ellipsis)
    keys[at : at + 1] = [slice(None)] * (len(a.shape) - given)
    result, axis, shape = a, 0, []
    for k in keys:
        if k is None:
            shape.append(1)
            continue
        size = result.shape[axis]
        if isinstance(k, slice):
            if k != slice(None):
                start, stop = _range(k, size, a)
                result = slice_(result, axis, start, stop)
            shape.append(result.shape[axis])
        else:
            start, stop = _range(k, size, a)
            result = slice_(result, axis, start, stop)
        axis += 1
    return reshape(result, shape)


def _range(k, size, a) -> tuple[int, int]:
    if type(size) is not int:
        raise IndexError(
            f"%{a.name}: {k} cannot select from the dimension {size}, which has no "
            "fixed size: select from the other axes, as in x[:, 0:3]"
        )
    if isinstance(k, slice):
        if k.step not in (None, 1):
            raise IndexError(f"%{a.name}: slices have step 1, got {k.step}")
        start, stop, _ = k.indices(size)
    else:
        start = operator.index(k)
        start += size if start < 0 else 0
        stop = start + 1
    if not 0 <= start < stop <= size:
        raise IndexError(f"%{a.name}: {k} selects nothing of a dimension of {size}")
    return start, stop


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


def _check_axis(axis: int, shape: tuple, types) -> int:
    refuse_unless(
        0 <= axis < len(shape), f"axis {axis} is out of range: {describe(types)}"
    )
    return axis
