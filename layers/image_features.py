"""Layers from images to places of features, and to sequences and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, type_text
from slimlearn.layers import images, utils
from slimlearn.layers.annotations import DataFormat
from slimlearn.layers.initializers import constant_initializer
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope
from slimlearn.layers.variables import model_variable


@add_arg_scope
def spatial_softmax(
    features: Tensor,
    temperature: float | None = None,
    name: str | None = None,
    variables_collections: Sequence[str] | dict | None = None,
    trainable: bool = True,
    data_format: DataFormat = "NHWC",
) -> Tensor:
    """Return where each channel is large: the mean place, by softmax over space.

    Parameters
    ----------
    features : Tensor
        [B, height, width, channels]
    temperature : float, optional
        What features are divided by, where its training starts; by default 1.
    name : str, optional
        The scope, `spatial_softmax` by default; the variable is
        ``<name>/temperature``.
    variables_collections, trainable
        As in `fully_connected`.
    data_format : {"NHWC", "NCHW"}, default="NHWC"
        As in `convolution`.

    Returns
    -------
    Tensor
        [B, channels · 2]: row and column of each channel, from -1, the first, to 1,
        the last.

    References
    ----------
    Finn et al., "Deep spatial autoencoders for visuomotor learning", 2016.
    """
    where = "spatial_softmax"
    images.check_space(where, features, 2)
    if temperature is not None and not temperature > 0:
        raise ValueError(f"{where}: temperature must be above 0, got {temperature!r}")
    features = images.to_channels_last(where, features, data_format)
    batch, height, width, channels = features.shape
    with variable_scope(name, where):
        divisor = model_variable(
            "temperature",
            [],
            initializer=constant_initializer(
                1.0 if temperature is None else temperature
            ),
            trainable=trainable,
            collections=utils.get_variable_collections(
                variables_collections, "temperature"
            ),
        )
        pixels = ops.reshape(features, (batch, height * width, channels))
        pixels = ops.swapaxes(pixels, 1, 2)
        attention = ops.softmax(ops.div(pixels, divisor))
        rows, columns = np.meshgrid(
            np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij"
        )
        places = np.stack([rows.ravel(), columns.ravel()], 1)
        found = ops.matmul(attention, ops.array(places, features.dtype))
        return ops.reshape(found, (batch, channels * 2))


@add_arg_scope
def images_to_sequence(
    inputs: Tensor,
    data_format: DataFormat = "NHWC",
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> Tensor:
    """Return images as sequences of pixels: each row of an image is one.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    data_format : {"NHWC", "NCHW"}, default="NHWC"
        "NCHW": inputs are [B, channels, height, width].
    outputs_collections : str or sequence of str, optional
        As in `fully_connected`.
    scope : str, optional
        ``ImagesToSequence`` by default.

    Returns
    -------
    Tensor
        [width, height · B, channels]

    Raises
    ------
    ValueError
        If there is no such format.
    """
    where = "images_to_sequence"
    images.check_space(where, inputs, 2)
    with variable_scope(scope, "ImagesToSequence") as layer:
        turned = images.to_channels_last(where, inputs, data_format)
        turned = ops.transpose(turned, [2, 0, 1, 3])
        width, _, _, channels = turned.shape
        outputs = ops.reshape(turned, (width, -1, channels))
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def sequence_to_images(
    inputs: Tensor,
    height: int,
    output_data_format: Literal["channels_last", "channels_first"] = "channels_last",
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> Tensor:
    """Return sequences of pixels as images, as `images_to_sequence` took them.

    Parameters
    ----------
    inputs : Tensor
        [width, height · B, channels]
    height : int
        Of the images.
    output_data_format : {"channels_last", "channels_first"}, default="channels_last"
    outputs_collections : str or sequence of str, optional
        As in `fully_connected`.
    scope : str, optional
        ``SequenceToImages`` by default.

    Returns
    -------
    Tensor
        [B, height, width, channels], or [B, channels, height, width]

    Raises
    ------
    ValueError
        If the sequences are not as many as `height` for each image, or there is no
        such format.
    """
    where = "sequence_to_images"
    utils.check_float(where, inputs)
    height = utils.check_size(where, "height", height)
    if inputs.rank != 3:
        raise ValueError(
            f"{where}: inputs must be [width, height · B, channels], %{inputs.name} is "
            f"{type_text(*inputs.type)}"
        )
    orders = {"channels_last": [1, 2, 0, 3], "channels_first": [1, 3, 2, 0]}
    if output_data_format not in orders:
        raise ValueError(
            f"{where}: output_data_format must be 'channels_last' or "
            f"'channels_first', got {output_data_format!r}"
        )
    with variable_scope(scope, "SequenceToImages") as layer:
        width, _, channels = inputs.shape
        rows = ops.reshape(inputs, (width, -1, height, channels))
        outputs = ops.transpose(rows, orders[output_data_format])
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)
