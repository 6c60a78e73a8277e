"""Shapes as NumPy changes them: stack, expand_dims, tile, repeat, moved axes."""

import operator

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, type_text
from slimlearn.backend.op import also, check_tensor, public
from slimlearn.backend.ops.reduction import axes_of
from slimlearn.backend.ops.slicing import check_tensors
from slimlearn.backend.ops.structure import axis_of


@public
def stack(tensors, axis: int = -1, name: str | None = None) -> Tensor:
    """Return tensors side by side along a new axis.

    Parameters
    ----------
    tensors : sequence of Tensor
        Of one type and shape.
    axis : int, default=-1
        Where the new axis stands in the result; the last by default (NumPy's is the
        first, which is the batch here).
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
    tensors = check_tensors(tensors, "stack", name)
    at = _new_axis(tensors[0], axis, "stack", name)
    return ops.concat([expand_dims(tensor, at) for tensor in tensors], at, name)


@also("unbind")
def unstack(a: Tensor, axis: int = -1, name: str | None = None) -> tuple[Tensor, ...]:
    """Return the slices of a tensor along an axis, without it; `stack` puts them back.

    Parameters
    ----------
    a : Tensor
    axis : int, default=-1
        Of fixed size. `scan` takes slices one after another without a node for each.
    name : str, optional
        Of the results, inside the current scope.

    Returns
    -------
    tuple of Tensor

    Raises
    ------
    ValueError
        If there is no such axis, or it has no fixed size.
    """
    at = axis_of(a, axis, "unstack", name)
    size = a.shape[at]
    if type(size) is not int:
        raise ValueError(
            f"[unstack {name or 'unstack'}] axis {at} of {type_text(*a.type)} has no "
            "fixed size"
        )
    shape = (*a.shape[:at], *a.shape[at + 1 :])
    slices = [ops.slice_(a, at, i, i + 1) for i in range(size)]
    return tuple([ops.reshape(part, shape, name) for part in slices])


@public
def expand_dims(a: Tensor, axis: int, name: str | None = None) -> Tensor:
    """Return a tensor with a new axis of length 1, as ``x[..., None]`` does.

    Parameters
    ----------
    a : Tensor
    axis : int
        Where the new axis stands in the result.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If the axis is out of range.
    """
    at = _new_axis(a, axis, "expand_dims", name)
    return ops.reshape(a, (*a.shape[:at], 1, *a.shape[at:]), name)


@public
def squeeze(a: Tensor, axis=None, name: str | None = None) -> Tensor:
    """Return a tensor without axes of length 1.

    Parameters
    ----------
    a : Tensor
    axis : int or sequence of int, optional
        By default all axes of length 1; the batch is none.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If an axis is not of length 1.
    """
    check_tensor(a, "squeeze", name)
    if axis is None:
        axis = [i for i, size in enumerate(a.shape) if size == 1]
    axes = axes_of(a, axis, "squeeze", name)
    for at in axes:
        if a.shape[at] != 1:
            raise ValueError(
                f"[squeeze {name or 'squeeze'}] axis {at} of {type_text(*a.type)} is "
                "not of length 1"
            )
    kept = [size for i, size in enumerate(a.shape) if i not in axes]
    return ops.reshape(a, kept, name)


@public
def ravel(a: Tensor, name: str | None = None) -> Tensor:
    """Return all elements along one axis; `layers.flatten` keeps the rows apart.

    Parameters
    ----------
    a : Tensor
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        Of rank 1, in row-major order.
    """
    return ops.reshape(a, (-1,), name)


@public
def swapaxes(a: Tensor, axis1: int, axis2: int, name: str | None = None) -> Tensor:
    """Return a tensor with two axes exchanged.

    Parameters
    ----------
    a : Tensor
    axis1, axis2 : int
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If there is no such axis.
    """
    one, two = (axis_of(a, axis, "swapaxes", name) for axis in (axis1, axis2))
    order = list(range(a.rank))
    order[one], order[two] = two, one
    return ops.transpose(a, order, name)


@public
def moveaxis(
    a: Tensor, source: int, destination: int, name: str | None = None
) -> Tensor:
    """Return a tensor with one axis at another place, the others in their order.

    Parameters
    ----------
    a : Tensor
    source, destination : int
        Where the axis stands in `a`, and in the result.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        `a` itself if the axis stays and no name is given.

    Raises
    ------
    ValueError
        If there is no such axis.
    """
    here, there = (axis_of(a, x, "moveaxis", name) for x in (source, destination))
    if here == there and name is None:
        return a
    order = [axis for axis in range(a.rank) if axis != here]
    order.insert(there, here)
    return ops.transpose(a, order, name)


@public
def repeat(a: Tensor, repeats: int, axis: int = -1, name: str | None = None) -> Tensor:
    """Return a tensor with each element several times in a row along an axis.

    Parameters
    ----------
    a : Tensor
    repeats : int
        At least 1.
    axis : int, default=-1
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If there is no such axis, or `repeats` is less than 1.

    See Also
    --------
    tile : Repeats the whole.
    """
    at = axis_of(a, axis, "repeat", name)
    count = _count(repeats, "repeat", name)
    before, size, after = a.shape[:at], a.shape[at], a.shape[at + 1 :]
    column = ops.reshape(a, (*before, size, 1, *after))
    wide = ops.broadcast_to(column, (*before, size, count, *after))
    return ops.reshape(wide, (*before, size * count, *after), name)


@public
def tile(a: Tensor, reps, name: str | None = None) -> Tensor:
    """Return a tensor several times, one after the other along its axes.

    Parameters
    ----------
    a : Tensor
    reps : int or sequence of int
        How often along each axis, the last ones if there are fewer: ``(1, 3)`` keeps
        the rows and repeats the columns. More of them give new leading axes.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If a number is less than 1.

    See Also
    --------
    repeat : Repeats each element.
    """
    check_tensor(a, "tile", name)
    given = (reps,) if hasattr(reps, "__index__") else tuple(reps)
    counts = [_count(rep, "tile", name) for rep in given]
    rank = max(a.rank, len(counts))
    counts = [1] * (rank - len(counts)) + counts
    result = ops.reshape(a, (1,) * (rank - a.rank) + a.shape)
    for at, count in enumerate(counts):
        if count > 1:
            shape = result.shape
            before, size, after = shape[:at], shape[at], shape[at + 1 :]
            row = ops.reshape(result, (*before, 1, size, *after))
            wide = ops.broadcast_to(row, (*before, count, size, *after))
            result = ops.reshape(wide, (*before, size * count, *after))
    return result if name is None else ops.identity(result, name)


def _new_axis(a: Tensor, axis, op: str, name: str | None) -> int:
    """Return where a new axis of `a` stands, counted from the front."""
    rank = len(check_tensor(a, op, name).shape) + 1
    if not hasattr(axis, "__index__"):
        raise TypeError(f"[{op} {name or op}] an axis is a whole number, got {axis!r}")
    if not -rank <= operator.index(axis) < rank:
        raise ValueError(
            f"[{op} {name or op}] a new axis {axis} is out of range: a is "
            f"{type_text(*a.type)}"
        )
    return operator.index(axis) % rank


def _count(value, op: str, name: str | None) -> int:
    if not hasattr(value, "__index__") or operator.index(value) < 1:
        raise ValueError(
            f"[{op} {name or op}] repeats a whole number of times, at least once; got "
            f"{value!r}"
        )
    return operator.index(value)
