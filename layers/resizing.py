"""Layers that change the size of images: pad, resize, blocks of space as channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, type_text
from slimlearn.backend.ops.slicing import check_widths
from slimlearn.layers import images, utils
from slimlearn.layers.annotations import DataFormat
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope

PadMode: TypeAlias = Literal["CONSTANT", "REFLECT", "SYMMETRIC"]
Method: TypeAlias = Literal["bilinear", "nearest"]


@add_arg_scope
def pad(
    inputs: Tensor,
    paddings: Sequence[Sequence[int]],
    mode: PadMode = "CONSTANT",
    constant_values: float = 0,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> Tensor:
    """Put numbers around a tensor.

    Parameters
    ----------
    inputs : Tensor
    paddings : sequence of (before, after)
        How many numbers come before and after along each axis; none of the batch.
    mode : {"CONSTANT", "REFLECT", "SYMMETRIC"}, default="CONSTANT"
        `constant_values`, or the elements mirrored, without and with the outermost.
    constant_values : float, default=0
    outputs_collections : str or sequence of str, optional
        As in `fully_connected`.
    scope : str, optional
        ``Pad`` by default.

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError
        If paddings are no pairs of whole numbers.
    ValueError
        If there is not one pair an axis, a number is negative or there is not so much
        to mirror, or there is no such mode.
    """
    utils.check_float("pad", inputs, min_rank=1)
    if mode not in ("CONSTANT", "REFLECT", "SYMMETRIC"):
        raise ValueError(
            f"pad: mode must be 'CONSTANT', 'REFLECT' or 'SYMMETRIC', got {mode!r}"
        )
    with variable_scope(scope, "Pad") as layer:
        if mode == "CONSTANT" and constant_values == 0:
            outputs = ops.pad(inputs, paddings)
        else:
            outputs = inputs
            widths = check_widths(inputs, paddings, layer.name)
            for axis, (before, after) in enumerate(widths):
                if before or after:
                    parts = (
                        _constants(outputs, axis, before, after, constant_values)
                        if mode == "CONSTANT"
                        else _mirrored(outputs, axis, before, after, mode == "REFLECT")
                    )
                    kept = [part for part in parts if part is not None]
                    outputs = ops.concat(kept, axis)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


def _constants(inputs, axis, before, after, value):
    def side(count):
        shape = (*inputs.shape[:axis], count, *inputs.shape[axis + 1 :])
        return ops.full(shape, value, inputs.dtype) if count else None

    return side(before), inputs, side(after)


def _mirrored(inputs, axis, before, after, reflect):
    """The sides as slices turned round; `reflect` leaves the outermost element out."""
    size, skip = inputs.shape[axis], int(reflect)
    if not isinstance(size, int) or max(before, after) > size - skip:
        raise ValueError(
            f"pad: paddings ({before}, {after}) mirror more than the axis {axis} of "
            f"%{inputs.name}, {type_text(*inputs.type)}, has: "
            f"{'REFLECT' if reflect else 'SYMMETRIC'} leaves at most the size"
            f"{' - 1' if reflect else ''}"
        )

    def side(start, count):
        if not count:
            return None
        return ops.flip(
            inputs[(slice(None),) * axis + (slice(start, start + count),)], axis
        )

    return side(skip, before), inputs, side(size - skip - after, after)


@add_arg_scope
def resize(
    inputs: Tensor,
    size: int | Sequence[int],
    method: Method = "bilinear",
    align_corners: bool = False,
    data_format: DataFormat | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> Tensor:
    """Bring images to another size.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    size : int or (height, width)
        Of the result.
    method : {"bilinear", "nearest"}, default="bilinear"
        A mean of the four pixels around a place, weighted by nearness, or the nearest
        pixel. Made smaller, an image is not blurred before.
    align_corners : bool, default=False
        Whether the centres of the outermost pixels stay in place; else the outer edges
        do, as in PyTorch (whose "nearest-exact" is the nearest one here),
        `tf.image.resize` and Keras.
    data_format : {"NHWC", "NCHW"}, optional
        As in `convolution`.
    outputs_collections : str or sequence of str, optional
        As in `fully_connected`.
    scope : str, optional
        ``Resize`` by default.

    Returns
    -------
    Tensor
        ``[B, *size, channels]``

    Raises
    ------
    ValueError
        If the size is none, or there is no such method.

    Notes
    -----
    Rows and columns are products with constant matrices, so that a pixel that is
    infinite or not a number spreads over its row and column.
    """
    images.check_space("resize", inputs, 2)
    size = images.sizes("resize", "size", size, 2)
    if method not in ("bilinear", "nearest"):
        raise ValueError(
            f"resize: method must be 'bilinear' or 'nearest', got {method!r}"
        )

    def act(inputs):
        # Each product turns the last axis; height and width take their turn there.
        outputs = ops.transpose(inputs, [0, 3, 1, 2])
        for axis in (1, 0):
            source = outputs.shape[-1]
            if source != size[axis]:
                weights = _weights(source, size[axis], method, align_corners)
                outputs = ops.matmul(outputs, ops.array(weights, inputs.dtype))
            if axis == 1:
                outputs = ops.swapaxes(outputs, 2, 3)
        return ops.transpose(outputs, [0, 3, 2, 1])

    with variable_scope(scope, "Resize") as layer:
        outputs = images.channels_last("resize", inputs, data_format, act)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


def _weights(
    source: int, target: int, method: Method, align_corners: bool
) -> np.ndarray:
    """What each of `source` pixels counts in each of `target`: [source, target]."""
    steps = np.arange(target)
    if align_corners:
        places = steps * ((source - 1) / max(target - 1, 1))
    else:
        places = (steps + 0.5) * (source / target) - 0.5
    weights = np.zeros((source, target))
    if method == "nearest":
        # Halves go up, as floor((step + 0.5) · source / target) has it.
        nearest = np.clip(np.floor(places + 0.5).astype(int), 0, source - 1)
        weights[nearest, steps] = 1
        return weights
    places = np.clip(places, 0, source - 1)
    low = np.floor(places).astype(int)
    part = places - low
    weights[low, steps] = 1 - part
    weights[np.minimum(low + 1, source - 1), steps] += part
    return weights


@add_arg_scope
def space_to_depth(
    inputs: Tensor,
    block_size: int,
    data_format: DataFormat | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> Tensor:
    """Make each block of pixels one pixel with all their channels.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    block_size : int
        Must divide height and width.
    data_format : {"NHWC", "NCHW"}, optional
        As in `convolution`.
    outputs_collections : str or sequence of str, optional
        As in `fully_connected`.
    scope : str, optional
        ``SpaceToDepth`` by default.

    Returns
    -------
    Tensor
        [B, height / block_size, width / block_size, block_size² · channels]: the
        block's pixels row by row, the channels of each together, as in TensorFlow.

    Raises
    ------
    ValueError
        If blocks do not fit the image.
    """
    where = "space_to_depth"
    images.check_space(where, inputs, 2)
    block = utils.check_size(where, "block_size", block_size)

    def act(inputs):
        batch, height, width, channels = inputs.shape
        if height % block or width % block:
            raise ValueError(
                f"{where}: block_size={block} must divide height and width of "
                f"%{inputs.name}, {type_text(*inputs.type)}: pad or resize it"
            )
        rows, columns = height // block, width // block
        blocks = ops.reshape(inputs, (batch, rows, block, columns, block, channels))
        blocks = ops.transpose(blocks, [0, 1, 3, 2, 4, 5])
        return ops.reshape(blocks, (batch, rows, columns, block * block * channels))

    with variable_scope(scope, "SpaceToDepth") as layer:
        outputs = images.channels_last(where, inputs, data_format, act)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def depth_to_space(
    inputs: Tensor,
    block_size: int,
    data_format: DataFormat | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> Tensor:
    """Make each pixel a block of pixels that share its channels out.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    block_size : int
        Its square must divide the channels.
    data_format, outputs_collections
        As in `space_to_depth`, which it undoes.
    scope : str, optional
        ``DepthToSpace`` by default.

    Returns
    -------
    Tensor
        [B, block_size · height, block_size · width, channels / block_size²]

    Raises
    ------
    ValueError
        If the channels cannot be shared out.
    """
    where = "depth_to_space"
    images.check_space(where, inputs, 2)
    block = utils.check_size(where, "block_size", block_size)

    def act(inputs):
        batch, rows, columns, channels = inputs.shape
        if channels % block**2:
            raise ValueError(
                f"{where}: {block}² must divide the channels of %{inputs.name}, "
                f"{type_text(*inputs.type)}: give another block_size"
            )
        left = channels // block**2
        blocks = ops.reshape(inputs, (batch, rows, columns, block, block, left))
        blocks = ops.transpose(blocks, [0, 1, 3, 2, 4, 5])
        return ops.reshape(blocks, (batch, rows * block, columns * block, left))

    with variable_scope(scope, "DepthToSpace") as layer:
        outputs = images.channels_last(where, inputs, data_format, act)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)
