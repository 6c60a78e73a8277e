"""Residual networks, version 1: normalized behind every convolution."""

from collections.abc import Sequence

from slimlearn import layers as slim
from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.layers.nets import resnet_utils

resnet_arg_scope = resnet_utils.resnet_arg_scope


@slim.add_arg_scope
def basic(
    inputs: Tensor,
    depth: int,
    stride: int,
    rate: int = 1,
    step: int | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> Tensor:
    """Build a unit of two 3×3 convolutions, as in the networks of 18 and 34 layers.

    Parameters
    ----------
    inputs, depth, rate, outputs_collections, scope
        As in `bottleneck`; the scope is ``basic_v1`` by default.
    stride : int
        Of the first convolution.
    step : int, optional
        The stride that the unit had before `stack_blocks_dense` made it 1: the second
        convolution is spread by it. By default `stride`.
    """
    with slim.variable_scope(scope, "basic_v1") as sc:
        shortcut = _shortcut(inputs, depth, stride)
        residual = resnet_utils.conv2d_same(
            inputs, depth, 3, stride, rate=rate, scope="conv1"
        )
        residual = slim.conv2d(
            residual,
            depth,
            [3, 3],
            rate=rate * (step or stride) // stride,
            activation_fn=None,
            scope="conv2",
        )
        output = ops.relu(shortcut + residual)
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, output)


@slim.add_arg_scope
def bottleneck(
    inputs: Tensor,
    depth: int,
    depth_bottleneck: int,
    stride: int,
    rate: int = 1,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> Tensor:
    """Build a unit of a 3×3 convolution between two 1×1 ones.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    depth : int
        Filters of the last convolution.
    depth_bottleneck : int
        Filters of the first two.
    stride : int
        Of the 3×3 convolution.
    rate : int, default=1
        Steps between its taps.
    outputs_collections : str or sequence of str, optional
        Collect the unit's output.
    scope : str, optional
        ``bottleneck_v1`` by default.
    """
    with slim.variable_scope(scope, "bottleneck_v1") as sc:
        shortcut = _shortcut(inputs, depth, stride)
        residual = slim.conv2d(inputs, depth_bottleneck, [1, 1], scope="conv1")
        residual = resnet_utils.conv2d_same(
            residual, depth_bottleneck, 3, stride, rate=rate, scope="conv2"
        )
        residual = slim.conv2d(
            residual, depth, [1, 1], activation_fn=None, scope="conv3"
        )
        output = ops.relu(shortcut + residual)
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, output)


def _shortcut(inputs, depth, stride):
    if inputs.shape[-1] == depth:
        return resnet_utils.subsample(inputs, stride, "shortcut")
    return slim.conv2d(
        inputs, depth, [1, 1], stride=stride, activation_fn=None, scope="shortcut"
    )


def resnet_v1(
    inputs: Tensor,
    blocks: Sequence[resnet_utils.Block],
    num_classes: int | None = None,
    is_training: bool | None = None,
    global_pool: bool = True,
    output_stride: int | None = None,
    include_root_block: bool = True,
    spatial_squeeze: bool = True,
    reuse: bool | None = None,
    scope: str | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build a residual network of version 1.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels], 224×224 by default; multiples of 32 plus 1 where
        maps are wanted.
    blocks : sequence of Block
        Such as those of `resnet_v1_block`.
    num_classes : int or None, default=None
        0 or None: features before the logits are returned.
    is_training : bool, optional
        By default as the network is being built.
    global_pool : bool, default=True
        Take the mean over space before the logits.
    output_stride : int, optional
        How many times smaller than the image the map may become, as in
        `stack_blocks_dense`; 32 by default.
    include_root_block : bool, default=True
        Begin with a 7×7 convolution and a pooling, each of stride 2.
    spatial_squeeze : bool, default=True
        Return logits [B, num_classes] instead of [B, 1, 1, num_classes].
    reuse : bool, optional
        As in `fully_connected`.
    scope : str, optional
        ``resnet_v1`` by default.

    Returns
    -------
    net : Tensor
        [B, num_classes], the logits.
    end_points : dict of str to Tensor
        By the scopes of convolutions, units and blocks, and ``global_pool``,
        ``predictions``.

    Raises
    ------
    ValueError
        If `output_stride` cannot be reached.

    References
    ----------
    He et al., "Deep residual learning for image recognition", 2015.
    """
    with slim.variable_scope(scope, "resnet_v1", reuse=reuse) as sc:
        end_points_collection = f"{sc.original_name_scope}_end_points"
        with (
            slim.arg_scope(
                [slim.conv2d, basic, bottleneck, resnet_utils.stack_blocks_dense],
                outputs_collections=end_points_collection,
            ),
            slim.arg_scope([slim.batch_norm], is_training=is_training),
        ):
            net = inputs
            if include_root_block:
                output_stride = resnet_utils.behind_root(output_stride)
                net = resnet_utils.conv2d_same(net, 64, 7, stride=2, scope="conv1")
                net = slim.max_pool2d(net, [3, 3], stride=2, scope="pool1")
            net = resnet_utils.stack_blocks_dense(net, blocks, output_stride)
            return resnet_utils.classify(
                net,
                slim.utils.convert_collection_to_dict(end_points_collection),
                sc.name,
                num_classes,
                global_pool,
                spatial_squeeze,
            )


resnet_v1.default_image_size = 224


def resnet_v1_block(
    scope: str, base_depth: int, num_units: int, stride: int
) -> resnet_utils.Block:
    """Return a block of bottlenecks; see `bottleneck_block`."""
    return resnet_utils.bottleneck_block(
        bottleneck, scope, base_depth, num_units, stride
    )


def resnet_v1_basic_block(
    scope: str, base_depth: int, num_units: int, stride: int
) -> resnet_utils.Block:
    """Return a block of `basic` units; see `basic_block`."""
    return resnet_utils.basic_block(basic, scope, base_depth, num_units, stride)


def _basic(name, *units):
    return resnet_utils.network_of(
        resnet_v1, name, resnet_v1_basic_block, units, strides=(1, 2, 2, 2)
    )


def _deep(name, *units):
    return resnet_utils.network_of(resnet_v1, name, resnet_v1_block, units)


resnet_v1_18 = _basic("resnet_v1_18", 2, 2, 2, 2)
resnet_v1_34 = _basic("resnet_v1_34", 3, 4, 6, 3)
resnet_v1_50 = _deep("resnet_v1_50", 3, 4, 6, 3)
resnet_v1_101 = _deep("resnet_v1_101", 3, 4, 23, 3)
resnet_v1_152 = _deep("resnet_v1_152", 3, 8, 36, 3)
resnet_v1_200 = _deep("resnet_v1_200", 3, 24, 36, 3)
