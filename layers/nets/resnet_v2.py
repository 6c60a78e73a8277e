"""Residual networks, version 2: normalized before every convolution."""

from collections.abc import Sequence

from slimlearn import layers as slim
from slimlearn.backend.graph import Tensor
from slimlearn.layers.nets import resnet_utils

resnet_arg_scope = resnet_utils.resnet_arg_scope


_LINEAR = {"normalizer_fn": None, "activation_fn": None}


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
    inputs, depth, stride, rate, step, outputs_collections, scope
        As in `resnet_v1.basic`; the scope is ``basic_v2`` by default.
    """
    with slim.variable_scope(scope, "basic_v2") as sc:
        preact, shortcut = _begin(inputs, depth, stride)
        residual = resnet_utils.conv2d_same(
            preact, depth, 3, stride, rate=rate, scope="conv1"
        )
        spread = rate * (step or stride) // stride
        residual = slim.conv2d(
            residual, depth, [3, 3], rate=spread, **_LINEAR, scope="conv2"
        )
        output = shortcut + residual
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
    """Build a unit of a 3×3 convolution between two 1×1 ones; nothing follows its sum.

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
        ``bottleneck_v2`` by default.
    """
    with slim.variable_scope(scope, "bottleneck_v2") as sc:
        preact, shortcut = _begin(inputs, depth, stride)
        residual = slim.conv2d(preact, depth_bottleneck, [1, 1], scope="conv1")
        residual = resnet_utils.conv2d_same(
            residual, depth_bottleneck, 3, stride, rate=rate, scope="conv2"
        )
        residual = slim.conv2d(residual, depth, [1, 1], **_LINEAR, scope="conv3")
        output = shortcut + residual
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, output)


def _begin(inputs, depth, stride):
    """The inputs normalized, and what is added to the unit's convolutions."""
    preact = slim.batch_norm(inputs, activation_fn=slim.activation.relu, scope="preact")
    if inputs.shape[-1] == depth:
        return preact, resnet_utils.subsample(inputs, stride, "shortcut")
    return preact, slim.conv2d(
        preact, depth, [1, 1], stride=stride, **_LINEAR, scope="shortcut"
    )


def resnet_v2(
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
    """Build a residual network of version 2.

    Parameters
    ----------
    inputs, blocks, num_classes, is_training, global_pool, output_stride, \
include_root_block, spatial_squeeze, reuse, scope
        As in `resnet_v1`; without a root block, inputs should be the output of a
        convolution without activation.

    Returns
    -------
    net : Tensor
        [B, num_classes], the logits.
    end_points : dict of str to Tensor
        As of `resnet_v1`.

    References
    ----------
    He et al., "Identity mappings in deep residual networks", 2016.
    """
    with slim.variable_scope(scope, "resnet_v2", reuse=reuse) as sc:
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
                with slim.arg_scope(
                    [slim.conv2d], activation_fn=None, normalizer_fn=None
                ):
                    net = resnet_utils.conv2d_same(net, 64, 7, stride=2, scope="conv1")
                net = slim.max_pool2d(net, [3, 3], stride=2, scope="pool1")
            net = resnet_utils.stack_blocks_dense(net, blocks, output_stride)
            net = slim.batch_norm(
                net, activation_fn=slim.activation.relu, scope="postnorm"
            )
            return resnet_utils.classify(
                net,
                slim.utils.convert_collection_to_dict(end_points_collection),
                sc.name,
                num_classes,
                global_pool,
                spatial_squeeze,
            )


resnet_v2.default_image_size = 224


def resnet_v2_block(
    scope: str, base_depth: int, num_units: int, stride: int
) -> resnet_utils.Block:
    """Return a block of bottlenecks; see `bottleneck_block`."""
    return resnet_utils.bottleneck_block(
        bottleneck, scope, base_depth, num_units, stride
    )


def resnet_v2_basic_block(
    scope: str, base_depth: int, num_units: int, stride: int
) -> resnet_utils.Block:
    """Return a block of `basic` units; see `basic_block`."""
    return resnet_utils.basic_block(basic, scope, base_depth, num_units, stride)


def _basic(name, *units):
    return resnet_utils.network_of(
        resnet_v2, name, resnet_v2_basic_block, units, strides=(1, 2, 2, 2)
    )


def _deep(name, *units):
    return resnet_utils.network_of(resnet_v2, name, resnet_v2_block, units)


resnet_v2_18 = _basic("resnet_v2_18", 2, 2, 2, 2)
resnet_v2_34 = _basic("resnet_v2_34", 3, 4, 6, 3)
resnet_v2_50 = _deep("resnet_v2_50", 3, 4, 6, 3)
resnet_v2_101 = _deep("resnet_v2_101", 3, 4, 23, 3)
resnet_v2_152 = _deep("resnet_v2_152", 3, 8, 36, 3)
resnet_v2_200 = _deep("resnet_v2_200", 3, 24, 36, 3)
