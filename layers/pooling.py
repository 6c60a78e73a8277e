"""Pooling layers: the largest or the mean of each window over space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.layers import images, utils
from slimlearn.layers.annotations import DataFormat, Padding
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope
from slimlearn.layers.sequence import mean_over, sequence_length, without_padding

_TYPES = {"MAX": ops.max_pool, "AVG": ops.avg_pool}


@add_arg_scope
def pool(
    inputs: Tensor,
    kernel_size: int | Sequence[int],
    pooling_type: Literal["MAX", "AVG"],
    padding: Padding = "VALID",
    data_format: DataFormat | None = None,
    dilation_rate: int | Sequence[int] = 1,
    stride: int | Sequence[int] = 1,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> Tensor:
    """Return the largest or the mean of each window over one to three spatial axes.

    Parameters
    ----------
    inputs : Tensor
        ``[B, *spatial, channels]``
    kernel_size : int or sequence of int
        Of the windows.
    pooling_type : {"MAX", "AVG"}
    padding : {"SAME", "VALID"} or sequence of (before, after), default="VALID"
        As in `convolution`; padding is never the largest, and counts in no mean.
    data_format : {"NHWC", "NCHW"}, optional
        As in `convolution`.
    dilation_rate : int or sequence of int, default=1
        Steps between the elements of a window.
    stride : int or sequence of int, default=1
        Steps from window to window.
    outputs_collections, scope
        As in `fully_connected`.

    Returns
    -------
    Tensor
        ``[B, *positions, channels]``
    """
    if pooling_type not in _TYPES:
        raise ValueError(
            f"pool: pooling_type must be 'MAX' or 'AVG', got {pooling_type!r}"
        )
    axes = images.check_space("pool", inputs)
    return _pooled(
        "pool",
        _TYPES[pooling_type],
        inputs,
        images.sizes("pool", "kernel_size", kernel_size, axes),
        images.sizes("pool", "stride", stride, axes),
        padding,
        images.sizes("pool", "dilation_rate", dilation_rate, axes),
        data_format,
        outputs_collections,
        scope,
        "pool",
    )


def _pooled(
    layer,
    function,
    inputs,
    kernel,
    stride,
    padding,
    rate,
    data_format,
    outputs_collections,
    scope,
    default_scope,
):
    with variable_scope(scope, default_scope) as opened:
        outputs = images.channels_last(
            layer,
            inputs,
            data_format,
            lambda x: _within(x, function, kernel, stride, padding, rate),
        )
        return utils.collect_named_outputs(outputs_collections, opened.name, outputs)


def _within(inputs, function, *window) -> Tensor:
    """A pooling in which the padding of sequences has no part."""
    if sequence_length(inputs) is None:
        return function(inputs, *window)
    if function is ops.max_pool:
        outputs = function(without_padding(inputs, float("-inf")), *window)
        return without_padding(outputs)
    total = function(without_padding(inputs), *window)
    ones = ops.ones((*inputs.shape[:-1], 1), inputs.dtype)
    count = function(without_padding(ones), *window)
    return without_padding(ops.div(total, count))


def _over_axes(
    inputs: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 2,
    padding: Padding = "VALID",
    data_format: DataFormat | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
    kind: Literal["max", "avg"] = "max",
    axes: int = 2,
) -> Tensor:
    """Return the largest or the mean of each window, as the name says.

    Parameters
    ----------
    inputs : Tensor
        ``[B, *spatial, channels]``
    kernel_size : int or sequence of int
        Of the windows.
    stride : int or sequence of int, default=2
        Steps from window to window.
    padding : {"SAME", "VALID"} or sequence of (before, after), default="VALID"
        As in `convolution`; padding is never the largest, and counts in no mean.
    data_format : {"NHWC", "NCHW"}, optional
        As in `convolution`.
    outputs_collections, scope
        As in `fully_connected`.
    kind : {"max", "avg"}
        What is taken of a window.
    axes : int
        The number of spatial axes.

    Returns
    -------
    Tensor
        ``[B, *positions, channels]``
    """
    name = f"{kind}_pool{axes}d"
    images.check_space(name, inputs, axes)
    return _pooled(
        name,
        _TYPES[kind.upper()],
        inputs,
        images.sizes(name, "kernel_size", kernel_size, axes),
        images.sizes(name, "stride", stride, axes),
        padding,
        1,
        data_format,
        outputs_collections,
        scope,
        f"{kind.capitalize()}Pool{axes}D",
    )


max_pool1d = images.fixing(_over_axes, "max_pool1d", kind="max", axes=1)
max_pool2d = images.fixing(_over_axes, "max_pool2d", kind="max", axes=2)
max_pool3d = images.fixing(_over_axes, "max_pool3d", kind="max", axes=3)
avg_pool1d = images.fixing(_over_axes, "avg_pool1d", kind="avg", axes=1)
avg_pool2d = images.fixing(_over_axes, "avg_pool2d", kind="avg", axes=2)
avg_pool3d = images.fixing(_over_axes, "avg_pool3d", kind="avg", axes=3)


@add_arg_scope
def global_pool(
    inputs: Tensor,
    pooling_type: Literal["MAX", "AVG"] = "AVG",
    keepdims: bool = False,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> Tensor:
    """Return the mean or the largest of each channel over all of space.

    Parameters
    ----------
    inputs : Tensor
        ``[B, *spatial, channels]``
    pooling_type : {"AVG", "MAX"}, default="AVG"
    keepdims : bool, default=False
        Keep the spatial axes, with size 1.
    outputs_collections, scope
        As in `fully_connected`; the scope is ``global_pool`` by default.

    Returns
    -------
    Tensor
        [B, channels], or [B, 1, …, channels]

    References
    ----------
    Lin et al., "Network in network", 2014.
    """
    if pooling_type not in _TYPES:
        raise ValueError(
            f"global_pool: pooling_type must be 'MAX' or 'AVG', got {pooling_type!r}"
        )
    axes = images.check_space("global_pool", inputs)
    over = list(range(1, axes + 1))
    with variable_scope(scope, "global_pool") as opened:
        if pooling_type == "MAX":
            inputs = without_padding(inputs, float("-inf"))
            outputs = ops.reduce_max(inputs, over, keepdims)
        else:
            outputs = mean_over(inputs, over, keepdims)
        return utils.collect_named_outputs(outputs_collections, opened.name, outputs)
