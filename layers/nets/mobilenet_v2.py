"""MobileNet, version 2: narrow sums of units that are wide inside."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from slimlearn import layers as slim
from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.layers.annotations import Activation


class Conv(NamedTuple):
    """A convolution of `num_outputs` filters."""

    kernel_size: Sequence[int]
    stride: int
    num_outputs: int


class Expanded(NamedTuple):
    """A unit of `expanded_conv`."""

    expansion: int
    stride: int
    num_outputs: int


V2_DEF = (
    Conv(kernel_size=(3, 3), stride=2, num_outputs=32),
    Expanded(expansion=1, stride=1, num_outputs=16),
    Expanded(expansion=6, stride=2, num_outputs=24),
    Expanded(expansion=6, stride=1, num_outputs=24),
    Expanded(expansion=6, stride=2, num_outputs=32),
    Expanded(expansion=6, stride=1, num_outputs=32),
    Expanded(expansion=6, stride=1, num_outputs=32),
    Expanded(expansion=6, stride=2, num_outputs=64),
    Expanded(expansion=6, stride=1, num_outputs=64),
    Expanded(expansion=6, stride=1, num_outputs=64),
    Expanded(expansion=6, stride=1, num_outputs=64),
    Expanded(expansion=6, stride=1, num_outputs=96),
    Expanded(expansion=6, stride=1, num_outputs=96),
    Expanded(expansion=6, stride=1, num_outputs=96),
    Expanded(expansion=6, stride=2, num_outputs=160),
    Expanded(expansion=6, stride=1, num_outputs=160),
    Expanded(expansion=6, stride=1, num_outputs=160),
    Expanded(expansion=6, stride=1, num_outputs=320),
    Conv(kernel_size=(1, 1), stride=1, num_outputs=1280),
)


def _divisible(value: float, divisor: int, least: int) -> int:
    """The nearest multiple of `divisor` that is not a tenth smaller."""
    near = max(least, int(value + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * value else near


@slim.add_arg_scope
def expanded_conv(
    input_tensor: Tensor,
    num_outputs: int,
    expansion_size: int,
    stride: int = 1,
    rate: int = 1,
    kernel_size: Sequence[int] = (3, 3),
    residual: bool = True,
    endpoints: dict[str, Tensor] | None = None,
    scope: str | None = None,
) -> Tensor:
    """Widen by a 1×1 convolution, filter each channel, narrow by another 1×1.

    Parameters
    ----------
    input_tensor : Tensor
        [B, height, width, channels]
    num_outputs : int
        Filters of the last convolution.
    expansion_size : int
        Filters of the first, which is left out where there are as many channels.
    stride, rate, kernel_size
        Of the filters of each channel.
    residual : bool, default=True
        Add the input where the output has its shape.
    endpoints : dict, optional
        Gets ``expansion_output``, ``depthwise_output`` and ``output``.
    scope : str, optional
        ``expanded_conv`` by default.
    """
    endpoints = {} if endpoints is None else endpoints
    with slim.variable_scope(scope, "expanded_conv"):
        net = input_tensor
        if expansion_size > net.shape[-1]:
            net = slim.conv2d(net, expansion_size, [1, 1], scope="expand")
            endpoints["expansion_output"] = net
        net = slim.separable_conv2d(
            net,
            None,
            kernel_size,
            depth_multiplier=1,
            stride=stride,
            rate=rate,
            scope="depthwise",
        )
        endpoints["depthwise_output"] = net
        net = slim.conv2d(net, num_outputs, [1, 1], activation_fn=None, scope="project")
        if residual and stride == 1 and net.shape == input_tensor.shape:
            net = ops.add(net, input_tensor, name="output")
        endpoints["output"] = net
        return net


def mobilenet_v2(
    input_tensor: Tensor,
    num_classes: int | None = 1001,
    depth_multiplier: float = 1.0,
    scope: str = "MobilenetV2",
    conv_defs: Sequence[Conv | Expanded] | None = None,
    finegrain_classification_mode: bool = False,
    min_depth: int = 8,
    divisible_by: int = 8,
    activation_fn: Activation | None = None,
    prediction_fn: Callable | None = slim.softmax,
    reuse: bool | None = None,
    is_training: bool | None = None,
    base_only: bool = False,
    output_stride: int | None = None,
    final_endpoint: str | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Build MobileNet v2.

    Parameters
    ----------
    input_tensor : Tensor
        [B, height, width, channels], 224×224 by default.
    num_classes : int or None, default=1001
        0 or None: the input of the logits' layer is returned, not dropped out.
    depth_multiplier : float, default=1.0
        Multiplies the filters of all layers.
    scope : str, default="MobilenetV2"
    conv_defs : sequence of Conv or Expanded, optional
        The layers; `V2_DEF` by default.
    finegrain_classification_mode : bool, default=False
        Whether a multiplier below 1 spares the last layer.
    min_depth, divisible_by : int, default=8
        The least number of filters of a layer, and what divides it.
    activation_fn : callable or str, optional
        `relu6` by default.
    prediction_fn : callable or None, default=softmax
        From logits to the end point ``Predictions``.
    reuse : bool, optional
        As in `fully_connected`.
    is_training : bool, optional
        By default as the network is being built.
    base_only : bool, default=False
        Return the last layer before the pooling.
    output_stride : int, optional
        How many times smaller than the image the map may become; from there on filters
        are spread instead (à trous).
    final_endpoint : str, optional
        The last layer of the base: ``layer_1``, ….

    Returns
    -------
    net : Tensor
        [B, num_classes], the logits.
    end_points : dict of str to Tensor
        ``layer_1``, …, with ``layer_k/expansion_output``, ``depthwise_output`` and
        ``output``; ``global_pool``, ``Logits``, ``Predictions``.

    Raises
    ------
    ValueError
        If a number is not above 0, or there is no layer `final_endpoint`.

    References
    ----------
    Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018.
    """
    if not depth_multiplier > 0:
        raise ValueError(
            f"mobilenet_v2: depth_multiplier must be above 0, got {depth_multiplier!r}"
        )
    layers = tuple(conv_defs or V2_DEF)
    known = [f"layer_{i}" for i in range(1, len(layers) + 1)]
    if final_endpoint is not None:
        if final_endpoint not in known:
            raise ValueError(
                f"mobilenet_v2: there is no final_endpoint {final_endpoint!r} "
                f"(there are {', '.join(known)})"
            )
        layers = layers[: known.index(final_endpoint) + 1]
    if finegrain_classification_mode and depth_multiplier < 1:
        last = layers[-1]
        layers = (
            *layers[:-1],
            last._replace(num_outputs=last.num_outputs / depth_multiplier),
        )

    def depth(num_outputs):
        return _divisible(num_outputs * depth_multiplier, divisible_by, min_depth)

    with (
        slim.variable_scope(scope, "MobilenetV2", reuse=reuse),
        slim.arg_scope(
            [slim.batch_norm], center=True, scale=True, is_training=is_training
        ),
        slim.arg_scope(
            [slim.conv2d, slim.separable_conv2d],
            normalizer_fn=slim.batch_norm,
            activation_fn=activation_fn or slim.activation.relu6,
            padding="SAME",
        ),
    ):
        net, end_points = _base(input_tensor, layers, depth, output_stride)
        if base_only:
            return net, end_points
        with slim.variable_scope("Logits"):
            net = slim.global_pool(net, keepdims=True)
            end_points["global_pool"] = net
            if not num_classes:
                return net, end_points
            net = slim.dropout(net, scope="Dropout", is_training=is_training)
            logits = slim.conv2d(
                net,
                num_classes,
                [1, 1],
                activation_fn=None,
                normalizer_fn=None,
                biases_initializer=slim.zeros_initializer(),
                scope="Conv2d_1c_1x1",
            )
            logits = ops.squeeze(logits, [1, 2])
        end_points["Logits"] = logits
        if prediction_fn:
            end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points


def _base(net, layers, depth, output_stride) -> tuple[Tensor, dict[str, Tensor]]:
    end_points = {}
    current_stride, rate = 1, 1
    for i, layer in enumerate(layers, start=1):
        stride, layer_rate = layer.stride, 1
        if current_stride == output_stride:
            stride, layer_rate = 1, rate
            rate *= layer.stride
        current_stride *= stride
        inner = {}
        if isinstance(layer, Conv):
            net = slim.conv2d(
                net,
                depth(layer.num_outputs),
                layer.kernel_size,
                stride,
                rate=layer_rate,
            )
        else:
            wide = net.shape[-1] * layer.expansion
            net = expanded_conv(
                net,
                depth(layer.num_outputs),
                wide if layer.expansion == 1 else _divisible(wide, 8, 8),
                stride,
                layer_rate,
                endpoints=inner,
            )
        end_points[f"layer_{i}"] = net
        end_points.update({f"layer_{i}/{k}": value for k, value in inner.items()})
    return net, end_points


def _of_width(depth_multiplier: float, **given) -> Callable:
    network = functools.partial(
        mobilenet_v2, depth_multiplier=depth_multiplier, **given
    )
    return functools.update_wrapper(network, mobilenet_v2)


mobilenet_v2.default_image_size = 224
mobilenet = mobilenet_v2
mobilenet_v2_140 = _of_width(1.4)
mobilenet_v2_050 = _of_width(0.50, finegrain_classification_mode=True)
mobilenet_v2_035 = _of_width(0.35, finegrain_classification_mode=True)


def training_scope(
    is_training: bool | None = None,
    weight_decay: float = 0.00004,
    stddev: float = 0.09,
    dropout_keep_prob: float = 0.8,
    bn_decay: float = 0.997,
) -> dict:
    """Return MobileNet's arg scope.

    Parameters
    ----------
    is_training : bool, optional
        Of `batch_norm` and `dropout`.
    weight_decay : float, default=0.00004
        Scale of the L2 penalty on weights, but for filters of one channel.
    stddev : float, default=0.09
        Of the weights at the start; below 0, they are drawn as Xavier says.
    dropout_keep_prob : float, default=0.8
        Probability of *keeping*.
    bn_decay : float, default=0.997
        `decay` of `batch_norm`.
    """
    initializer = (
        slim.xavier_initializer()
        if stddev < 0
        else slim.truncated_normal_initializer(stddev=stddev)
    )
    with (
        slim.arg_scope(
            [slim.conv2d, slim.fully_connected, slim.separable_conv2d],
            weights_initializer=initializer,
            normalizer_fn=slim.batch_norm,
        ),
        slim.arg_scope([slim.batch_norm], is_training=is_training, decay=bn_decay),
        slim.arg_scope(
            [slim.dropout], is_training=is_training, keep_prob=dropout_keep_prob
        ),
        slim.arg_scope(
            [slim.conv2d], weights_regularizer=slim.l2_regularizer(weight_decay)
        ),
        slim.arg_scope([slim.separable_conv2d], weights_regularizer=None) as scope,
    ):
        return scope
