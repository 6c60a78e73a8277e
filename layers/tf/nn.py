"""``tf.nn``: activations, and what network files without layers compute with."""

from __future__ import annotations

from collections.abc import Sequence

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.backend.ops import (
    dropout,
    log_softmax,
    relu,
    sigmoid,
    softmax,
    softplus,
    tanh,
)
from slimlearn.layers import local_response
from slimlearn.layers.activation import elu, leaky_relu, relu6, selu, softsign, swish
from slimlearn.layers.annotations import Padding

__all__ = [
    "avg_pool", "bias_add", "conv2d", "dropout", "elu", "l2_normalize", "leaky_relu",
    "local_response_normalization", "log_softmax", "lrn", "max_pool", "moments",
    "relu", "relu6", "selu", "sigmoid", "softmax", "softplus", "softsign", "swish",
    "tanh",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__


def _inner(where: str, word: str, sizes: Sequence[int]) -> list[int]:
    """Return what sizes say of height and width."""
    sizes = list(sizes)
    if len(sizes) != 4 or sizes[0] != 1 or sizes[3] != 1:
        raise ValueError(
            f"{where}: {word} must be [1, height, width, 1], got {sizes}: rows and "
            "channels stay apart"
        )
    return sizes[1:3]


def avg_pool(
    value: Tensor,
    ksize: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    name: str | None = None,
) -> Tensor:
    """Return the mean of each window.

    Parameters
    ----------
    value : Tensor
        [B, height, width, channels]
    ksize, strides : sequence of int
        [1, height, width, 1]
    padding : {"SAME", "VALID"}
    name : str, optional
        Of the result, inside the current scope.
    """
    return ops.avg_pool(
        value,
        _inner("tf.nn.avg_pool", "ksize", ksize),
        _inner("tf.nn.avg_pool", "strides", strides),
        padding,
        name=name,
    )


def max_pool(
    value: Tensor,
    ksize: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    name: str | None = None,
) -> Tensor:
    """Return the largest of each window.

    Parameters
    ----------
    value : Tensor
        [B, height, width, channels]
    ksize, strides : sequence of int
        [1, height, width, 1]
    padding : {"SAME", "VALID"}
    name : str, optional
        Of the result, inside the current scope.
    """
    return ops.max_pool(
        value,
        _inner("tf.nn.max_pool", "ksize", ksize),
        _inner("tf.nn.max_pool", "strides", strides),
        padding,
        name=name,
    )


def conv2d(
    input: Tensor,
    filter: Tensor,
    strides: Sequence[int],
    padding: Padding,
    name: str | None = None,
) -> Tensor:
    """Convolve images with filters that are there already.

    Parameters
    ----------
    input : Tensor
        [B, height, width, channels]
    filter : Tensor
        [height, width, channels, filters]
    strides : sequence of int
        [1, height, width, 1]
    padding : {"SAME", "VALID"}
    name : str, optional
        Of the result, inside the current scope.
    """
    strides = _inner("tf.nn.conv2d", "strides", strides)
    return ops.convolution(input, filter, strides, padding, name=name)


def bias_add(value: Tensor, bias: Tensor, name: str | None = None) -> Tensor:
    """Add a number to each channel.

    Parameters
    ----------
    value : Tensor
        [B, …, channels]
    bias : Tensor
        [channels]
    name : str, optional
        Of the result, inside the current scope.
    """
    return ops.add(value, bias, name)


def l2_normalize(
    x: Tensor,
    axis: int | Sequence[int] | None = None,
    epsilon: float = 1e-12,
    name: str | None = None,
    dim: int | Sequence[int] | None = None,
) -> Tensor:
    """Divide by the length along axes.

    Parameters
    ----------
    x : Tensor
    axis : int or sequence of int, optional
        All axes by default, the batch among them.
    epsilon : float, default=1e-12
        The least that the sum of squares counts.
    name : str, optional
        Of the result, inside the current scope.
    dim : optional
        The older word for `axis`.
    """
    total = ops.reduce_sum(ops.square(x), dim if axis is None else axis, True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(total, epsilon)), name)


def local_response_normalization(
    input: Tensor,
    depth_radius: int = 5,
    bias: float = 1.0,
    alpha: float = 1.0,
    beta: float = 0.5,
    name: str | None = None,
) -> Tensor:
    """Divide by a power of the squares of neighbouring channels, as layers do.

    Parameters
    ----------
    input : Tensor
        [B, …, channels]
    depth_radius, bias, alpha, beta
        As in `layers.local_response_normalization`.
    name : str, optional
        The scope of what it is made of.
    """
    return local_response.local_response_normalization(
        input, depth_radius, bias, alpha, beta, scope=name
    )


lrn = local_response_normalization


def moments(
    x: Tensor, axes: int | Sequence[int], keep_dims: bool = False
) -> tuple[Tensor, Tensor]:
    """Return mean and variance along axes.

    Parameters
    ----------
    x : Tensor
    axes : int or sequence of int
    keep_dims : bool, default=False
        Keep reduced axes with length 1.
    """
    return ops.mean(x, axes, keep_dims), ops.var(x, axes, keep_dims)
