"""MobileNet, version 1: filters of one channel, mixed by 1×1 convolutions."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from slimlearn import layers as slim
from slimlearn.backend.graph import Tensor
from slimlearn.layers.nets import head


class Conv(NamedTuple):
    """A convolution of `depth` filters."""

    kernel: Sequence[int]
    stride: int
    depth: int


class DepthSepConv(NamedTuple):
    """A filter for each channel, then a 1×1 convolution of `depth` filters."""

    kernel: Sequence[int]
    stride: int
    depth: int


MOBILENETV1_CONV_DEFS = (
    Conv(kernel=(3, 3), stride=2, depth=32),
    DepthSepConv(kernel=(3, 3), stride=1, depth=64),
    DepthSepConv(kernel=(3, 3), stride=2, depth=128),
    DepthSepConv(kernel=(3, 3), stride=1, depth=128),
    DepthSepConv(kernel=(3, 3), stride=2, depth=256),
    DepthSepConv(kernel=(3, 3), stride=1, depth=256),
    DepthSepConv(kernel=(3, 3), stride=2, depth=512),
    DepthSepConv(kernel=(3, 3), stride=1, depth=512),
    DepthSepConv(kernel=(3, 3), stride=1, depth=512),
    DepthSepConv(kernel=(3, 3), stride=1, depth=512),
    DepthSepConv(kernel=(3, 3), stride=1, depth=512),
    DepthSepConv(kernel=(3, 3), stride=1, depth=512),
    DepthSepConv(kernel=(3, 3), stride=2, depth=1024),
    DepthSepConv(kernel=(3, 3), stride=1, depth=1024),
)


def mobilenet_v1_base(
    inputs: Tensor,
    final_endpoint: str = "Conv2d_13_pointwise",
    min_depth: int = 8,
    depth_multiplier: float = 1.0,
    conv_defs: Sequence[Conv | DepthSepConv] | None = None,
    output_stride: int | None = None,
    scope: str | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build MobileNet up to one of its layers.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    final_endpoint : str, default="Conv2d_13_pointwise"
        The last layer: ``Conv2d_0``, ``Conv2d_1_depthwise``, ``Conv2d_1_pointwise``, ….
    min_depth, depth_multiplier, conv_defs
        As in `mobilenet_v1`.
    output_stride : {8, 16, 32}, optional
        How many times smaller than the image the map may become; from there on filters
        are spread instead (à trous). 32 by default.
    scope : str, optional
        ``MobilenetV1`` by default.

    Returns
    -------
    net : Tensor
    end_points : dict of str to Tensor

    Raises
    ------
    ValueError
        If there is no such layer, or a number is not one of the above.
    """
    if not depth_multiplier > 0:
        raise ValueError(
            f"mobilenet_v1: depth_multiplier must be above 0, got {depth_multiplier!r}"
        )
    if output_stride not in (None, 8, 16, 32):
        raise ValueError(
            f"mobilenet_v1: output_stride must be 8, 16 or 32, got {output_stride!r}"
        )
    end_points = {}
    current_stride, rate = 1, 1
    net = inputs
    with (
        slim.variable_scope(scope, "MobilenetV1"),
        slim.arg_scope(
            [slim.conv2d, slim.separable_conv2d],
            padding="SAME",
            normalizer_fn=slim.batch_norm,
        ),
    ):
        for i, layer in enumerate(conv_defs or MOBILENETV1_CONV_DEFS):
            depth = max(int(layer.depth * depth_multiplier), min_depth)
            stride, layer_rate = layer.stride, 1
            if current_stride == output_stride:
                stride, layer_rate = 1, rate
                rate *= layer.stride
            current_stride *= stride
            name = f"Conv2d_{i}"
            if isinstance(layer, Conv):
                net = slim.conv2d(
                    net, depth, layer.kernel, stride, rate=layer_rate, scope=name
                )
            else:
                net = slim.separable_conv2d(
                    net,
                    None,
                    layer.kernel,
                    depth_multiplier=1,
                    stride=stride,
                    rate=layer_rate,
                    scope=f"{name}_depthwise",
                )
                end_points[f"{name}_depthwise"] = net
                if final_endpoint in end_points:
                    return net, end_points
                name += "_pointwise"
                net = slim.conv2d(net, depth, [1, 1], scope=name)
            end_points[name] = net
            if final_endpoint in end_points:
                return net, end_points
    raise ValueError(
        f"mobilenet_v1: there is no final_endpoint {final_endpoint!r} "
        f"(there are {', '.join(end_points)})"
    )


def mobilenet_v1(
    inputs: Tensor,
    num_classes: int | None = 1000,
    dropout_keep_prob: float = 0.999,
    is_training: bool | None = None,
    min_depth: int = 8,
    depth_multiplier: float = 1.0,
    conv_defs: Sequence[Conv | DepthSepConv] | None = None,
    prediction_fn: Callable | None = slim.softmax,
    spatial_squeeze: bool = True,
    reuse: bool | None = None,
    scope: str = "MobilenetV1",
    global_pool: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build MobileNet v1.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels], 224×224 by default.
    num_classes : int or None, default=1000
        0 or None: the input of the logits' layer is returned, not dropped out.
    dropout_keep_prob : float, default=0.999
        Probability of *keeping*.
    is_training : bool, optional
        By default as the network is being built.
    min_depth : int, default=8
        The least number of filters of a layer.
    depth_multiplier : float, default=1.0
        Multiplies the filters of all layers.
    conv_defs : sequence of Conv or DepthSepConv, optional
        The layers; `MOBILENETV1_CONV_DEFS` by default.
    prediction_fn : callable or None, default=softmax
        From logits to the end point ``Predictions``.
    spatial_squeeze : bool, default=True
        Return logits [B, num_classes] instead of [B, 1, 1, num_classes].
    reuse : bool, optional
        As in `fully_connected`.
    scope : str, default="MobilenetV1"
    global_pool : bool, default=False
        Take the mean over all of space before the logits, instead of over 7×7: for
        images of any size.

    Returns
    -------
    net : Tensor
        [B, num_classes], the logits.
    end_points : dict of str to Tensor

    References
    ----------
    Howard et al., "MobileNets: efficient convolutional neural networks for mobile
    vision applications", 2017.
    """
    with (
        slim.variable_scope(scope, "MobilenetV1", reuse=reuse) as sc,
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net, end_points = mobilenet_v1_base(
            inputs,
            min_depth=min_depth,
            depth_multiplier=depth_multiplier,
            conv_defs=conv_defs,
            final_endpoint=_last(conv_defs or MOBILENETV1_CONV_DEFS),
            scope=sc,
        )
        with slim.variable_scope("Logits"):
            if global_pool:
                net = slim.global_pool(net, keepdims=True)
                end_points["global_pool"] = net
            else:
                window = [min(7, size) for size in net.shape[1:3]]
                net = slim.avg_pool2d(net, window, scope="AvgPool_1a")
                end_points["AvgPool_1a"] = net
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, dropout_keep_prob, scope="Dropout_1b")
            logits = slim.conv2d(
                net,
                num_classes,
                [1, 1],
                activation_fn=None,
                normalizer_fn=None,
                scope="Conv2d_1c_1x1",
            )
            if spatial_squeeze:
                logits = head.squeeze(logits, sc.name)
        end_points["Logits"] = logits
        if prediction_fn:
            end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points


def _last(conv_defs) -> str:
    kind = "" if isinstance(conv_defs[-1], Conv) else "_pointwise"
    return f"Conv2d_{len(conv_defs) - 1}{kind}"


def _narrow(depth_multiplier: float) -> Callable:
    network = functools.partial(mobilenet_v1, depth_multiplier=depth_multiplier)
    return functools.update_wrapper(network, mobilenet_v1)


mobilenet_v1.default_image_size = 224
mobilenet_v1_075 = _narrow(0.75)
mobilenet_v1_050 = _narrow(0.50)
mobilenet_v1_025 = _narrow(0.25)


def mobilenet_v1_arg_scope(
    is_training: bool | None = None,
    weight_decay: float = 0.00004,
    stddev: float = 0.09,
    regularize_depthwise: bool = False,
    batch_norm_decay: float = 0.9997,
    batch_norm_epsilon: float = 0.001,
) -> dict:
    """Return MobileNet's arg scope.

    Parameters
    ----------
    is_training : bool, optional
        Of `batch_norm`.
    weight_decay : float, default=0.00004
        Scale of the L2 penalty on weights.
    stddev : float, default=0.09
        Of the weights at the start.
    regularize_depthwise : bool, default=False
        Whether the penalty is on the filters of one channel too.
    batch_norm_decay, batch_norm_epsilon
        `decay` and `epsilon` of `batch_norm`.
    """
    regularizer = slim.l2_regularizer(weight_decay)
    with (
        slim.arg_scope(
            [slim.conv2d, slim.separable_conv2d],
            weights_initializer=slim.truncated_normal_initializer(stddev=stddev),
            activation_fn=slim.activation.relu6,
            normalizer_fn=slim.batch_norm,
        ),
        slim.arg_scope(
            [slim.batch_norm],
            is_training=is_training,
            center=True,
            scale=True,
            decay=batch_norm_decay,
            epsilon=batch_norm_epsilon,
        ),
        slim.arg_scope([slim.conv2d], weights_regularizer=regularizer),
        slim.arg_scope(
            [slim.separable_conv2d],
            weights_regularizer=regularizer if regularize_depthwise else None,
        ) as scope,
    ):
        return scope
