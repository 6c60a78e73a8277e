"""Shapes and joints: arguments as TensorFlow has them."""

from __future__ import annotations

from collections.abc import Sequence

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, current_model
from slimlearn.layers import resizing


def add_n(inputs: Sequence[Tensor], name: str | None = None) -> Tensor:
    """Return the sum of tensors of one shape.

    Parameters
    ----------
    inputs : sequence of Tensor
    name : str, optional
        Of the result, inside the current scope.

    Raises
    ------
    ValueError
        If there is none.
    """
    if not inputs:
        raise ValueError("tf.add_n: inputs needs at least one tensor")
    total, *others = inputs
    for i, other in enumerate(others, start=1):
        total = ops.add(total, other, name if i == len(others) else None)
    return total if others else ops.identity(total, name)


def clip_by_value(
    t: Tensor, clip_value_min: float, clip_value_max: float, name: str | None = None
) -> Tensor:
    """Return a tensor's numbers, those outside an interval as its ends.

    Parameters
    ----------
    t : Tensor
    clip_value_min, clip_value_max : float
    name : str, optional
        Of the result, inside the current scope.
    """
    return ops.clip(t, clip_value_min, clip_value_max, name)


def concat(values: Sequence[Tensor], axis: int, name: str | None = None) -> Tensor:
    """Return tensors joined along an axis.

    Parameters
    ----------
    values : sequence of Tensor
    axis : int
        Any but the batch's, 0.
    name : str, optional
        Of the result, inside the current scope.
    """
    return ops.concat(values, axis, name)


def expand_dims(input: Tensor, axis: int, name: str | None = None) -> Tensor:
    """Return a tensor with a new axis of length 1.

    Parameters
    ----------
    input : Tensor
    axis : int
        Where it stands in the result.
    name : str, optional
        Of the result, inside the current scope.
    """
    return ops.expand_dims(input, axis, name)


def pad(
    tensor: Tensor,
    paddings: Sequence[Sequence[int]],
    mode: resizing.PadMode = "CONSTANT",
    name: str | None = None,
    constant_values: float = 0,
) -> Tensor:
    """Put numbers around a tensor; see `layers.pad`.

    Parameters
    ----------
    tensor : Tensor
    paddings : sequence of (before, after)
        One pair an axis; none of the batch.
    mode : {"CONSTANT", "REFLECT", "SYMMETRIC"}, default="CONSTANT"
    name : str, optional
        The scope of what it is made of.
    constant_values : float, default=0
    """
    return resizing.pad(tensor, paddings, mode, constant_values, scope=name)


def split(
    value: Tensor, num_or_size_splits: int | Sequence[int], axis: int = 0
) -> list[Tensor]:
    """Return the parts of a tensor along an axis.

    Parameters
    ----------
    value : Tensor
    num_or_size_splits : int or sequence of int
        The number of equal parts, or the length of each.
    axis : int, default=0
        The default is TensorFlow's and the batch's, which has no length to split:
        give another.

    Raises
    ------
    ValueError
        If the parts are not equal, or their lengths do not add up.
    """
    if isinstance(num_or_size_splits, int):
        return ops.split(value, num_or_size_splits, axis)
    sizes = list(num_or_size_splits)
    if sum(sizes) != value.shape[axis]:
        raise ValueError(
            f"tf.split: lengths {sizes} add up to {sum(sizes)}, axis {axis} of "
            f"%{value.name} has {value.shape[axis]}"
        )
    places = [sum(sizes[:i]) for i in range(1, len(sizes))]
    return ops.split(value, places, axis)


def squeeze(
    input: Tensor,
    axis: int | Sequence[int] | None = None,
    name: str | None = None,
    squeeze_dims: int | Sequence[int] | None = None,
) -> Tensor:
    """Return a tensor without axes of length 1.

    Parameters
    ----------
    input : Tensor
    axis : int or sequence of int, optional
        All of length 1 by default.
    name : str, optional
        Of the result, inside the current scope.
    squeeze_dims : int or sequence of int, optional
        The older word for `axis`.
    """
    return ops.squeeze(input, squeeze_dims if axis is None else axis, name)


def stack(values: Sequence[Tensor], axis: int = 0, name: str | None = None) -> Tensor:
    """Return tensors side by side along a new axis.

    Parameters
    ----------
    values : sequence of Tensor
        Of one shape.
    axis : int, default=0
        Where the new axis stands. The default is TensorFlow's and leaves the batch
        second; rows of an estimator stand first, so give another.
    name : str, optional
        Of the result, inside the current scope.
    """
    return ops.stack(values, axis, name)


def to_float(x: Tensor, name: str | None = None) -> Tensor:
    """Return a tensor of floating numbers.

    Parameters
    ----------
    x : Tensor
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        Of the network's precision.
    """
    return ops.cast(x, current_model().precision, name)


def transpose(
    a: Tensor, perm: Sequence[int] | None = None, name: str | None = None
) -> Tensor:
    """Return a tensor with its axes in another order.

    Parameters
    ----------
    a : Tensor
    perm : sequence of int, optional
        The order; reversed by default.
    name : str, optional
        Of the result, inside the current scope.
    """
    return ops.transpose(a, perm, name)
