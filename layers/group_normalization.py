"""Layers that normalize each image by groups of its channels, or channel by channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, type_text
from slimlearn.backend.shape import product
from slimlearn.layers import activation, images, utils
from slimlearn.layers.annotations import Activation, DataFormat
from slimlearn.layers.names import variable_scope
from slimlearn.layers.normalization import offset_and_factor, standardized
from slimlearn.layers.scope import add_arg_scope


@add_arg_scope
def group_norm(
    inputs: Tensor,
    groups: int = 32,
    channels_axis: int = -1,
    reduction_axes: Sequence[int] = (-3, -2),
    center: bool = True,
    scale: bool = True,
    epsilon: float = 1e-6,
    activation_fn: Activation | None = None,
    param_initializers: Mapping | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
    mean_close_to_zero: bool = False,
) -> Tensor:
    """Normalize groups of an image's channels by their mean and variance over space.

    It needs no other rows, and so does the same in training and inference.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels], or others with axes as below.
    groups : int, default=32
        Must divide the channels, which are grouped in their order.
    channels_axis : int, default=-1
        Where the channels stand.
    reduction_axes : sequence of int, default=(-3, -2)
        The axes over which moments are taken, besides a group's channels; not the
        batch. () for rows without space.
    center, scale : bool, default=True
        Add a trained ``beta``, multiply by a trained ``gamma``, a number a channel.
    epsilon : float, default=1e-6
        Added to the variance.
    activation_fn : callable, str or None, default=None
        As in `fully_connected`.
    param_initializers : dict, optional
        By ``"beta"`` and ``"gamma"``.
    reuse, variables_collections, outputs_collections, trainable
        As in `fully_connected`.
    scope : str, optional
        ``GroupNorm`` by default.
    mean_close_to_zero : bool, default=False
        Accepted for TF-Slim's sake, without effect: squares are those of the distances
        from the mean.

    Returns
    -------
    Tensor
        As `inputs`.

    Raises
    ------
    ValueError
        If there are no such axes, an axis stands twice, groups do not divide the
        channels, or a group has one number.

    References
    ----------
    Wu and He, "Group normalization", 2018.
    """
    where = "group_norm"
    utils.check_float(where, inputs, min_rank=2)
    rank = inputs.rank
    groups = utils.check_size(where, "groups", groups)
    at = utils.check_axis(where, "channels_axis", channels_axis, rank)
    over = [utils.check_axis(where, "reduction_axes", a, rank) for a in reduction_axes]
    if at == 0 or 0 in over or len({at, *over}) <= len(over):
        raise ValueError(
            f"{where}: channels_axis={channels_axis} and reduction_axes="
            f"{tuple(reduction_axes)} must be different axes behind the batch of "
            f"%{inputs.name}, {type_text(*inputs.type)}"
        )
    channels = inputs.shape[at]
    if not isinstance(channels, int) or channels % groups:
        raise ValueError(
            f"{where}: groups={groups} must divide the {channels} channels of "
            f"%{inputs.name}: give another number of groups"
        )
    before, after = inputs.shape[:at], inputs.shape[at + 1 :]
    split = (groups, channels // groups)
    grouped = ops.reshape(inputs, (*before, *split, *after))
    axes = sorted([at + 1, *(a + 1 if a > at else a for a in over)])
    _check_many(where, grouped, axes)
    with variable_scope(scope, "GroupNorm", reuse=reuse) as layer:
        parameters = offset_and_factor(
            [channels],
            center,
            scale,
            trainable,
            variables_collections,
            param_initializers,
        )
        beside = (*split, *[1] * len(after))
        beta, gamma = (p if p is None else ops.reshape(p, beside) for p in parameters)
        outputs = standardized(grouped, axes, epsilon, beta, gamma)
        outputs = ops.reshape(outputs, inputs.shape)
        outputs = activation.get(activation_fn)(outputs)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def instance_norm(
    inputs: Tensor,
    center: bool = True,
    scale: bool = True,
    epsilon: float = 1e-6,
    activation_fn: Activation | None = None,
    param_initializers: Mapping | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    data_format: DataFormat = "NHWC",
    scope: str | None = None,
) -> Tensor:
    """Normalize each channel of an image by its mean and variance over space.

    Parameters
    ----------
    inputs : Tensor
        ``[B, *spatial, channels]``
    center, scale, epsilon, activation_fn, param_initializers, reuse, \
variables_collections, outputs_collections, trainable
        As in `group_norm`.
    data_format : {"NHWC", "NCHW"}, default="NHWC"
        As in `convolution`.
    scope : str, optional
        ``InstanceNorm`` by default.

    Returns
    -------
    Tensor
        As `inputs`.

    Raises
    ------
    ValueError
        If an image has one pixel.

    References
    ----------
    Ulyanov et al., "Instance normalization: the missing ingredient for fast
    stylization", 2016.
    """
    where = "instance_norm"
    space = images.check_space(where, inputs)

    def normalize(inputs):
        axes = list(range(1, space + 1))
        _check_many(where, inputs, axes)
        beta, gamma = offset_and_factor(
            [utils.feature_count(where, inputs)],
            center,
            scale,
            trainable,
            variables_collections,
            param_initializers,
        )
        outputs = standardized(inputs, axes, epsilon, beta, gamma)
        return activation.get(activation_fn)(outputs)

    with variable_scope(scope, "InstanceNorm", reuse=reuse) as layer:
        outputs = images.channels_last(where, inputs, data_format, normalize)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


def _check_many(layer: str, inputs: Tensor, axes: list[int]) -> None:
    """Refuse moments of a single number, which would always become 0."""
    if product([inputs.shape[axis] for axis in axes]) == 1:
        raise ValueError(
            f"{layer}: there is one number to normalize in inputs "
            f"{type_text(*inputs.type)}, which would always become 0: give larger "
            "groups or images, or leave the normalization out"
        )
