"""Elements by their places: ``x[key]``, take, flip, roll, split, made of slices."""

import itertools
import math
import operator

from slimlearn.backend import ops
from slimlearn.backend.graph import NUMBERS, Tensor, type_text
from slimlearn.backend.op import also, internal, public
from slimlearn.backend.ops.structure import axis_of, reshape

_RADIX = 8  # of `flip`: so many slices are joined at once


@internal
def getitem(a: Tensor, key) -> Tensor:
    """Return ``a[key]`` for whole numbers, slices, lists of numbers, ... and None."""
    keys = list(key) if isinstance(key, tuple) else [key]
    given = sum(k is not None and k is not Ellipsis for k in keys)
    if given > len(a.shape):
        raise IndexError(
            f"%{a.name}: {given} indices, but the tensor is {type_text(*a.type)}"
        )
    for k in keys:
        _check_key(a, k)
    dots = [k for k in keys if k is Ellipsis]
    lists = [k for k in keys if isinstance(k, list)]
    if len(dots) > 1 or len(lists) > 1:
        what = "..." if len(dots) > 1 else "list of numbers"
        raise IndexError(f"%{a.name}: an index has one {what} at most, got {key!r}")
    if not dots:
        keys.append(Ellipsis)
    at = next(i for i, k in enumerate(keys) if k is Ellipsis)
    keys[at : at + 1] = [slice(None)] * (len(a.shape) - given)
    result, axis, shape = a, 0, []
    for k in keys:
        if k is None:
            shape.append(1)
            continue
        if isinstance(k, slice):
            if k != slice(None):
                result = _range(result, axis, k, a)
            shape.append(result.shape[axis])
        elif isinstance(k, list):
            result = _pick(result, axis, k, a)
            shape.append(len(k))
        else:
            result = _pick(result, axis, [k], a)
        axis += 1
    return reshape(result, shape)


def _check_key(a: Tensor, k) -> None:
    if k is None or k is Ellipsis or isinstance(k, slice):
        return
    entries = k if isinstance(k, list) else [k]
    whole = all(
        hasattr(e, "__index__") and not isinstance(e, (bool, Tensor)) for e in entries
    )
    if isinstance(k, str):
        raise TypeError(
            f"%{a.name}: an index is a whole number or a slice, got {k!r}: tensors by "
            f"name are what inputs= of the estimator gives, as inputs={{{k!r}: …}}"
        )
    if not whole or not entries:
        raise TypeError(
            f"%{a.name}: an index is a whole number, a slice, a list of whole numbers, "
            f"... or None, got {k!r}: ops.gather(table, ids) picks rows by number, "
            "ops.where picks by condition"
        )


def _fixed(a: Tensor, axis: int, key, whole: Tensor) -> int:
    size = a.shape[axis]
    if type(size) is not int:
        raise IndexError(
            f"%{whole.name}: {key} cannot select from the dimension {size}, which has "
            "no fixed size: select from the other axes, as in x[:, 0:3]"
        )
    return size


def _range(a: Tensor, axis: int, key: slice, whole: Tensor) -> Tensor:
    """Return the elements of a slice of any step."""
    size = _fixed(a, axis, key, whole)
    start, stop, step = key.indices(size)
    count = len(range(start, stop, step))
    if count == 0:
        raise IndexError(
            f"%{whole.name}: {key} selects nothing of a dimension of {size}"
        )
    if step > 0:
        return _strided(a, axis, start, count, step)
    last = start + (count - 1) * step
    return flip(_strided(a, axis, last, count, -step), axis)


def _strided(a: Tensor, axis: int, start: int, count: int, step: int) -> Tensor:
    """Return `count` elements from `start`, every `step`-th.

    The axis is cut into groups of `step` elements, and one of each group is kept.
    """
    if step == 1 or count == 1:
        return ops.slice_(a, axis, start, start + count)
    beyond = max(0, start + count * step - a.shape[axis])
    if beyond <= start:  # whole groups, if they begin before the first element
        place, start = beyond, start - beyond
        a = ops.slice_(a, axis, start, start + count * step)
    else:
        place = 0
        a = ops.slice_(a, axis, start, a.shape[axis])
        a = _padded(a, axis, 0, count * step - a.shape[axis])
    before, after = a.shape[:axis], a.shape[axis + 1 :]
    groups = reshape(a, (*before, count, step, *after))
    kept = ops.slice_(groups, axis + 1, place, place + 1)
    return reshape(kept, (*before, count, *after))


def _padded(a: Tensor, axis: int, before: int, after: int) -> Tensor:
    """Return `a` of any type with zeros around it."""
    if a.dtype in NUMBERS:
        return ops.pad_axis(a, axis, before, after)
    return ops.cast(ops.pad_axis(ops.cast(a, "i32"), axis, before, after), a.dtype)


def _pick(a: Tensor, axis: int, numbers: list, whole: Tensor) -> Tensor:
    """Return the elements of these numbers, negative ones counted from the end."""
    size = _fixed(a, axis, numbers[0] if len(numbers) == 1 else numbers, whole)
    parts: list[list[int]] = []
    for number in map(operator.index, numbers):
        if not -size <= number < size:
            raise IndexError(
                f"%{whole.name}: {number} selects nothing of a dimension of {size}"
            )
        number %= size
        if parts and parts[-1][1] == number:
            parts[-1][1] += 1
        else:
            parts.append([number, number + 1])
    return ops.concat([ops.slice_(a, axis, *part) for part in parts], axis)


@public
def take(a: Tensor, indices, axis: int = -1, name: str | None = None) -> Tensor:
    """Return the elements of given numbers along an axis.

    Parameters
    ----------
    a : Tensor
    indices : int, sequence of int, or Tensor of i32 or i64
        Numbers that are known now may be negative and are looked up without mixing
        rows; those of a tensor count from 0 (see `gather`).
    axis : int, default=-1
        Of fixed size.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        The shape of `indices` stands in place of the axis.

    Raises
    ------
    TypeError
        If an index is no whole number.
    IndexError
        If one is out of range, or the axis has no fixed size.
    """
    at = axis_of(a, axis, "take", name)
    if isinstance(indices, Tensor):
        rank = indices.rank
        found = ops.gather(ops.moveaxis(a, at, 0), indices)
        order = [*range(rank, rank + at), *range(rank), *range(rank + at, found.rank)]
        if order == list(range(found.rank)):
            return found if name is None else ops.identity(found, name)
        return ops.transpose(found, order, name)
    one = hasattr(indices, "__index__")
    keys = indices if one else list(indices)
    found = getitem(a, (*[slice(None)] * at, keys))
    return found if name is None else ops.identity(found, name)


@also("reverse")
def flip(a: Tensor, axis: int = -1, name: str | None = None) -> Tensor:
    """Return the elements in reverse order along an axis.

    Parameters
    ----------
    a : Tensor
    axis : int, default=-1
        Of fixed size.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        As `a`.

    Raises
    ------
    ValueError
        If there is no such axis.
    IndexError
        If it has no fixed size.
    """
    at = axis_of(a, axis, "flip", name)
    size = _fixed(a, at, "flip", a)
    # Number 73 of 8 · 16 stands at 55 then: each digit is turned by itself.
    digits, rest = [], size
    while rest > _RADIX:
        digits.append(_RADIX)
        rest = -(-rest // _RADIX)
    digits.insert(0, max(rest, 1))
    missing = math.prod(digits) - size if size else 0
    result = _padded(a, at, 0, missing) if missing else a
    if len(digits) > 1:
        result = reshape(result, (*a.shape[:at], *digits, *a.shape[at + 1 :]))
    for place, digit in enumerate(digits if size else (), at):
        turned = [ops.slice_(result, place, i, i + 1) for i in range(digit)]
        result = ops.concat(turned[::-1], place)
    if len(digits) > 1:
        result = reshape(result, (*a.shape[:at], size + missing, *a.shape[at + 1 :]))
    if missing:
        result = ops.slice_(result, at, missing, missing + size)
    return result if name is None else ops.identity(result, name)


@public
def roll(a: Tensor, shift: int, axis: int = -1, name: str | None = None) -> Tensor:
    """Return the elements moved along an axis; those that leave it come in again.

    Parameters
    ----------
    a : Tensor
    shift : int
        By how many places, towards the end; negative ones towards the start.
    axis : int, default=-1
        Of fixed size.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        As `a`.

    Raises
    ------
    ValueError
        If there is no such axis.
    IndexError
        If it has no fixed size.
    """
    at = axis_of(a, axis, "roll", name)
    size = _fixed(a, at, "roll", a)
    cut = -operator.index(shift) % max(size, 1)
    if cut == 0:
        return a if name is None else ops.identity(a, name)
    ends = ops.slice_(a, at, cut, size), ops.slice_(a, at, 0, cut)
    return ops.concat(ends, at, name)


@public
def split(a: Tensor, indices_or_sections, axis: int = -1) -> list[Tensor]:
    """Return the parts of a tensor along an axis.

    Parameters
    ----------
    a : Tensor
    indices_or_sections : int or sequence of int
        The number of equal parts, or the places where to cut.
    axis : int, default=-1
        Of fixed size; the last by default (NumPy's is the first, the batch here).

    Returns
    -------
    list of Tensor

    Raises
    ------
    ValueError
        If the parts are not equal, or places do not rise within the axis.
    IndexError
        If the axis has no fixed size.
    """
    at = axis_of(a, axis, "split")
    size = _fixed(a, at, "split", a)
    if hasattr(indices_or_sections, "__index__"):
        parts = operator.index(indices_or_sections)
        if parts < 1 or size % parts:
            raise ValueError(
                f"[split split] {size} elements of axis {axis} have no {parts} equal "
                "parts: give the places where to cut, as in split(x, [3, 5])"
            )
        cuts = [size // parts * i for i in range(1, parts)]
    else:
        cuts = [operator.index(cut) for cut in indices_or_sections]
    edges = [0, *cuts, size]
    if any(not left < right for left, right in itertools.pairwise(edges)):
        raise ValueError(
            f"[split split] the places {cuts} must rise and lie within the {size} "
            f"elements of axis {axis}"
        )
    pairs = itertools.pairwise(edges)
    return [ops.slice_(a, at, left, right) for left, right in pairs]
