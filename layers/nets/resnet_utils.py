"""What residual networks are built of.

As in TF-Slim, the last unit of a block of bottlenecks has the block's stride where the
paper has it in the next block's first 1×1 convolution: the same function, with smaller
maps on the way.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from slimlearn import layers as slim
from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.layers.nets import head


class Block(NamedTuple):
    """A row of units.

    Attributes
    ----------
    scope : str
        The block's name.
    unit_fn : callable
        Builds a unit, such as `bottleneck`: from a tensor, its arguments and `rate`.
    args : sequence of dict
        The arguments of each unit.
    """

    scope: str
    unit_fn: Callable
    args: Sequence[dict[str, Any]]


def subsample(inputs: Tensor, factor: int, scope: str | None = None) -> Tensor:
    """Return every `factor`-th pixel of [B, height, width, channels].

    Parameters
    ----------
    inputs : Tensor
    factor : int
        1 returns `inputs`.
    scope : str, optional
    """
    if factor == 1:
        return inputs
    return slim.max_pool2d(inputs, [1, 1], stride=factor, scope=scope)


@slim.add_arg_scope
def conv2d_same(
    inputs: Tensor,
    num_outputs: int,
    kernel_size: int,
    stride: int,
    rate: int = 1,
    scope: str | None = None,
) -> Tensor:
    """Convolve so that a stride gives every so many pixels of what stride 1 gives.

    `conv2d` with padding SAME and a stride pads by what the stride leaves of the image,
    so that filters are centered elsewhere on images of even size.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    num_outputs, kernel_size, stride, rate, scope
        As in `conv2d`; `kernel_size` and `rate` are numbers.
    """
    padding = "SAME"
    if stride > 1:
        around = rate * (kernel_size - 1)
        padding = [(around // 2, around - around // 2)] * 2
    return slim.conv2d(
        inputs,
        num_outputs,
        kernel_size,
        stride=stride,
        rate=rate,
        padding=padding,
        scope=scope,
    )


@slim.add_arg_scope
def stack_blocks_dense(
    net: Tensor,
    blocks: Sequence[Block],
    output_stride: int | None = None,
    outputs_collections: str | Sequence[str] | None = None,
) -> Tensor:
    """Build blocks one behind the other, their units in ``<block>/unit_1``, ….

    Parameters
    ----------
    net : Tensor
        [B, height, width, channels]
    blocks : sequence of Block
    output_stride : int, optional
        How many times smaller the map may become; from there on units keep its size and
        spread their filters instead (à trous). A product of the first units' strides.
        None: all strides.
    outputs_collections : str or sequence of str, optional
        Collect the blocks' outputs.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If no product of the first strides is `output_stride`.

    References
    ----------
    Chen et al., "DeepLab", 2016, on `output_stride`.
    """
    current_stride, rate = 1, 1
    for block in blocks:
        with slim.variable_scope(block.scope, "block") as sc:
            for i, unit in enumerate(block.args, start=1):
                stride = unit.get("stride", 1)
                with slim.variable_scope(f"unit_{i}"):
                    if current_stride == output_stride:
                        net = block.unit_fn(net, rate=rate, **{**unit, "stride": 1})
                        rate *= stride
                    else:
                        net = block.unit_fn(net, rate=1, **unit)
                        current_stride *= stride
            net = slim.utils.collect_named_outputs(outputs_collections, sc.name, net)
    if output_stride not in (None, current_stride):
        raise ValueError(
            f"stack_blocks_dense: no product of the first units' strides is "
            f"output_stride={output_stride}; all of them are {current_stride}"
        )
    return net


def behind_root(output_stride: int | None) -> int | None:
    """Return what is left of `output_stride` behind a root block of stride 4."""
    if output_stride is None:
        return None
    if output_stride % 4:
        raise ValueError(
            f"resnet: output_stride must be a multiple of 4, got {output_stride!r}"
        )
    return output_stride // 4


def classify(
    net: Tensor,
    end_points: dict[str, Tensor],
    name: str,
    num_classes: int | None,
    global_pool: bool,
    spatial_squeeze: bool,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return logits of the last block's output, or its mean, and the end points."""
    if global_pool:
        net = ops.reduce_mean(net, [1, 2], keepdims=True, name="pool5")
        end_points["global_pool"] = net
    if num_classes:
        net = slim.conv2d(
            net,
            num_classes,
            [1, 1],
            activation_fn=None,
            normalizer_fn=None,
            scope="logits",
        )
        end_points[f"{name}/logits"] = net
        if spatial_squeeze:
            net = head.squeeze(net, name)
            end_points[f"{name}/spatial_squeeze"] = net
        end_points["predictions"] = slim.softmax(net, scope="predictions")
    return net, end_points


def bottleneck_block(
    unit_fn: Callable, scope: str, base_depth: int, num_units: int, stride: int
) -> Block:
    """Return a block of units of `base_depth` filters inside, four times as many out.

    Parameters
    ----------
    unit_fn : callable
        Such as `resnet_v1.bottleneck`.
    scope : str
    base_depth : int
    num_units : int
    stride : int
        Of the last unit; the others have 1.
    """
    depth = {"depth": base_depth * 4, "depth_bottleneck": base_depth}
    strides = [1] * (num_units - 1) + [stride]
    return Block(scope, unit_fn, [{**depth, "stride": s} for s in strides])


def basic_block(
    unit_fn: Callable, scope: str, base_depth: int, num_units: int, stride: int
) -> Block:
    """Return a block of units of two 3×3 convolutions, the first with the stride.

    Parameters
    ----------
    unit_fn : callable
        Such as `resnet_v1.basic`.
    scope, base_depth, num_units
        As in `bottleneck_block`; the filters of all convolutions.
    stride : int
        Of the first unit; the others have 1.
    """
    first = {"depth": base_depth, "stride": stride, "step": stride}
    others = {"depth": base_depth, "stride": 1}
    return Block(scope, unit_fn, [first, *[others] * (num_units - 1)])


def network_of(
    resnet: Callable,
    name: str,
    block: Callable[..., Block],
    units: Sequence[int],
    strides: Sequence[int] = (2, 2, 2, 1),
) -> Callable:
    """Return the network `name` of so many units in four blocks.

    Parameters
    ----------
    resnet : callable
        `resnet_v1` or `resnet_v2`.
    name : str
    block : callable
        From (scope, base_depth, num_units, stride) to a `Block`.
    units, strides : sequence of int
    """
    blocks = [
        block(f"block{i}", base_depth, num_units, stride)
        for i, (base_depth, num_units, stride) in enumerate(
            zip((64, 128, 256, 512), units, strides), start=1
        )
    ]

    def network(
        inputs: Tensor,
        num_classes: int | None = None,
        is_training: bool | None = None,
        global_pool: bool = True,
        output_stride: int | None = None,
        spatial_squeeze: bool = True,
        reuse: bool | None = None,
        scope: str = name,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Build a residual network of as many layers as its name says.

        Parameters
        ----------
        inputs, num_classes, is_training, global_pool, output_stride, \
spatial_squeeze, reuse
            As in `resnet_v1` or `resnet_v2`, which builds it.
        scope : str
            The network's name by default.

        Returns
        -------
        net : Tensor
            [B, num_classes], the logits.
        end_points : dict of str to Tensor
        """
        return resnet(
            inputs,
            blocks,
            num_classes,
            is_training,
            global_pool,
            output_stride,
            include_root_block=True,
            spatial_squeeze=spatial_squeeze,
            reuse=reuse,
            scope=scope,
        )

    network.__module__ = resnet.__module__
    network.__name__ = network.__qualname__ = name
    network.default_image_size = resnet.default_image_size
    return network


def resnet_arg_scope(
    weight_decay: float = 0.0001,
    batch_norm_decay: float = 0.997,
    batch_norm_epsilon: float = 1e-5,
    batch_norm_scale: bool = True,
) -> dict:
    """Return the arg scope of residual networks.

    Parameters
    ----------
    weight_decay : float, default=0.0001
        Scale of the L2 penalty on weights.
    batch_norm_decay, batch_norm_epsilon, batch_norm_scale
        `decay`, `epsilon` and `scale` of `batch_norm`.
    """
    batch_norm = {
        "decay": batch_norm_decay,
        "epsilon": batch_norm_epsilon,
        "scale": batch_norm_scale,
    }
    with (
        slim.arg_scope(
            [slim.conv2d],
            weights_regularizer=slim.l2_regularizer(weight_decay),
            weights_initializer=slim.variance_scaling_initializer(),
            activation_fn=slim.activation.relu,
            normalizer_fn=slim.batch_norm,
        ),
        slim.arg_scope([slim.batch_norm], **batch_norm),
        slim.arg_scope([slim.max_pool2d], padding="SAME") as scope,
    ):
        return scope
