"""Convolutional layers: names, positional order and defaults are TF-Slim's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.layers import activation, images, utils
from slimlearn.layers.annotations import Activation, DataFormat, Padding, WholePadding
from slimlearn.layers.initializers import xavier_initializer, zeros_initializer
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope
from slimlearn.layers.sequence import without_padding
from slimlearn.layers.tail import Tail
from slimlearn.layers.variables import model_variable

_XAVIER = xavier_initializer()
_ZEROS = zeros_initializer()


@add_arg_scope
def convolution(
    inputs: Tensor,
    num_outputs: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    data_format: DataFormat | None = None,
    rate: int | Sequence[int] = 1,
    activation_fn: Activation | None = activation.relu,
    normalizer_fn: Callable | None = None,
    normalizer_params: Mapping | None = None,
    weights_initializer: Callable = _XAVIER,
    weights_regularizer: Callable | None = None,
    biases_initializer: Callable | None = _ZEROS,
    biases_regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
    conv_dims: int | None = None,
    groups: int = 1,
) -> Tensor:
    """Slide filters over one to three spatial axes, add biases or normalize, activate.

    Parameters
    ----------
    inputs : Tensor
        ``[B, *spatial, channels]``; sizes fixed, but that of time, whose padding is
        read as zeros.
    num_outputs : int
        The number of filters.
    kernel_size : int or sequence of int
        Of the filters, for all spatial axes or one each.
    stride : int or sequence of int, default=1
        How far the filters move.
    padding : {"SAME", "VALID", "CAUSAL"} or sequence of (before, after), default="SAME"
        Zeros around the spatial axes: SAME, so many that stride 1 keeps the size, the
        odd one behind; VALID, none; CAUSAL, of one axis, time: all of them before it,
        so that no position reads what comes later. Along time SAME is as many as for
        stride 1, whatever the stride is.
    data_format : {"NHWC", "NCHW"}, optional
        Where the channels stand: last by default. "NCHW" is turned round and back, so
        keep to one.
    rate : int or sequence of int, default=1
        Steps between the taps of a filter (dilation, à trous); may go with a stride.
    activation_fn, normalizer_fn, normalizer_params, weights_initializer, \
weights_regularizer, biases_initializer, biases_regularizer, reuse, \
variables_collections, outputs_collections, trainable
        As in `fully_connected`.
    scope : str, optional
        The layer's name, `Conv` by default: variables are ``<scope>/weights`` of shape
        ``[*kernel_size, channels / groups, num_outputs]`` and ``<scope>/biases``.
    conv_dims : int, optional
        The number of spatial axes that inputs must have.
    groups : int, default=1
        Channels and filters in so many groups that do not see each other.

    Returns
    -------
    Tensor
        ``[B, *positions, num_outputs]``

    Raises
    ------
    ValueError
        If inputs have no spatial axes, a kernel does not fit a VALID input, or groups
        do not divide the channels and the filters.

    References
    ----------
    LeCun et al., "Gradient-based learning applied to document recognition", 1998.
    """
    axes = images.check_space("convolution", inputs, conv_dims)
    num_outputs = utils.check_size("convolution", "num_outputs", num_outputs)
    groups = utils.check_size("convolution", "groups", groups)
    kernel = images.sizes("convolution", "kernel_size", kernel_size, axes)
    stride = images.sizes("convolution", "stride", stride, axes)
    rate = images.sizes("convolution", "rate", rate, axes)
    utils.check_function("convolution", "normalizer_fn", normalizer_fn, "batch_norm")
    tail = Tail(
        activation_fn,
        normalizer_fn,
        normalizer_params,
        biases_initializer,
        biases_regularizer,
        variables_collections,
        trainable,
        data_format,
    )

    def convolve(inputs):
        channels = utils.feature_count("convolution", inputs)
        if channels % groups or num_outputs % groups:
            raise ValueError(
                f"convolution: groups={groups} must divide the {channels} channels of "
                f"%{inputs.name} and num_outputs={num_outputs}"
            )
        weights = model_variable(
            "weights",
            [*kernel, channels // groups, num_outputs],
            initializer=weights_initializer,
            regularizer=weights_regularizer,
            trainable=trainable,
            collections=utils.get_variable_collections(
                variables_collections, "weights"
            ),
        )
        if kernel[0] > 1:
            inputs = without_padding(inputs)
        outputs = ops.convolution(inputs, weights, stride, padding, rate, groups)
        return tail.finish(outputs)

    with variable_scope(scope, "Conv", reuse=reuse) as layer:
        outputs = images.channels_last("convolution", inputs, data_format, convolve)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


conv1d = convolution1d = images.fixing(convolution, "conv1d", conv_dims=1)
conv2d = convolution2d = images.fixing(convolution, "conv2d", conv_dims=2)
conv3d = convolution3d = images.fixing(convolution, "conv3d", conv_dims=3)


@add_arg_scope
def conv2d_in_plane(
    inputs: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    activation_fn: Activation | None = activation.relu,
    normalizer_fn: Callable | None = None,
    normalizer_params: Mapping | None = None,
    weights_initializer: Callable = _XAVIER,
    weights_regularizer: Callable | None = None,
    biases_initializer: Callable | None = _ZEROS,
    biases_regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
) -> Tensor:
    """Slide one filter over every channel on its own: all channels share it.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    kernel_size, stride, padding, activation_fn, normalizer_fn, normalizer_params, \
weights_initializer, weights_regularizer, biases_initializer, biases_regularizer, \
reuse, variables_collections, outputs_collections, trainable
        As in `convolution`.
    scope : str, optional
        `ConvInPlane` by default; the variables are ``<scope>/weights`` of shape
        ``[*kernel_size, 1, 1]`` and ``<scope>/biases``.

    Returns
    -------
    Tensor
        ``[B, *positions, channels]``
    """
    where = "conv2d_in_plane"
    images.check_space(where, inputs, 2)
    kernel = images.sizes(where, "kernel_size", kernel_size, 2)
    stride = images.sizes(where, "stride", stride, 2)
    channels = utils.feature_count(where, inputs)
    utils.check_function(where, "normalizer_fn", normalizer_fn, "batch_norm")
    tail = Tail(
        activation_fn,
        normalizer_fn,
        normalizer_params,
        biases_initializer,
        biases_regularizer,
        variables_collections,
        trainable,
    )
    with variable_scope(scope, "ConvInPlane", reuse=reuse) as layer:
        weights = model_variable(
            "weights",
            [*kernel, 1, 1],
            initializer=weights_initializer,
            regularizer=weights_regularizer,
            trainable=trainable,
            collections=utils.get_variable_collections(
                variables_collections, "weights"
            ),
        )
        filters = ops.broadcast_to(weights, (*kernel, 1, channels))
        outputs = ops.convolution(inputs, filters, stride, padding, groups=channels)
        outputs = tail.finish(outputs)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def separable_conv2d(
    inputs: Tensor,
    num_outputs: int | None,
    kernel_size: int | Sequence[int],
    depth_multiplier: int = 1,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    data_format: DataFormat | None = None,
    rate: int | Sequence[int] = 1,
    activation_fn: Activation | None = activation.relu,
    normalizer_fn: Callable | None = None,
    normalizer_params: Mapping | None = None,
    weights_initializer: Callable = _XAVIER,
    pointwise_initializer: Callable | None = None,
    weights_regularizer: Callable | None = None,
    biases_initializer: Callable | None = _ZEROS,
    biases_regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
) -> Tensor:
    """Filter every channel on its own, then mix the channels of each pixel.

    Parameters
    ----------
    inputs : Tensor
        [B, height, width, channels]
    num_outputs : int or None
        The number of mixtures; None: channels are not mixed (a depthwise convolution).
    depth_multiplier : int, default=1
        Filters of each channel.
    kernel_size, stride, padding, data_format, rate, activation_fn, normalizer_fn, \
normalizer_params, weights_initializer, weights_regularizer, biases_initializer, \
biases_regularizer, reuse, variables_collections, outputs_collections, trainable
        As in `convolution`.
    pointwise_initializer : callable, optional
        Of the mixtures' weights; by default `weights_initializer`.
    scope : str, optional
        `SeparableConv2d` by default; the variables are ``<scope>/depthwise_weights`` of
        shape ``[*kernel_size, channels, depth_multiplier]``,
        ``<scope>/pointwise_weights`` of shape
        [1, 1, channels · depth_multiplier, num_outputs], ``<scope>/biases``.

    Returns
    -------
    Tensor
        ``[B, *positions, num_outputs, or channels · depth_multiplier]``

    References
    ----------
    Chollet, "Xception: deep learning with depthwise separable convolutions", 2017.
    """
    where = "separable_conv2d"
    images.check_space(where, inputs, 2)
    if num_outputs is not None:
        num_outputs = utils.check_size(where, "num_outputs", num_outputs)
    multiplier = utils.check_size(where, "depth_multiplier", depth_multiplier)
    kernel = images.sizes(where, "kernel_size", kernel_size, 2)
    stride = images.sizes(where, "stride", stride, 2)
    rate = images.sizes(where, "rate", rate, 2)
    utils.check_function(where, "normalizer_fn", normalizer_fn, "batch_norm")
    tail = Tail(
        activation_fn,
        normalizer_fn,
        normalizer_params,
        biases_initializer,
        biases_regularizer,
        variables_collections,
        trainable,
        data_format,
    )

    def weights(name, shape, initializer):
        return model_variable(
            name,
            shape,
            initializer=initializer,
            regularizer=weights_regularizer,
            trainable=trainable,
            collections=utils.get_variable_collections(variables_collections, name),
        )

    def convolve(inputs):
        channels = utils.feature_count(where, inputs)
        depthwise = weights(
            "depthwise_weights", [*kernel, channels, multiplier], weights_initializer
        )
        filters = ops.reshape(depthwise, (*kernel, 1, channels * multiplier))
        outputs = ops.convolution(inputs, filters, stride, padding, rate, channels)
        if num_outputs is not None:
            pointwise = weights(
                "pointwise_weights",
                [1, 1, channels * multiplier, num_outputs],
                pointwise_initializer or weights_initializer,
            )
            outputs = ops.convolution(outputs, pointwise)
        return tail.finish(outputs)

    with variable_scope(scope, "SeparableConv2d", reuse=reuse) as layer:
        outputs = images.channels_last(where, inputs, data_format, convolve)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


def _transposed(
    inputs: Tensor,
    num_outputs: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: WholePadding = "SAME",
    data_format: DataFormat | None = None,
    activation_fn: Activation | None = activation.relu,
    normalizer_fn: Callable | None = None,
    normalizer_params: Mapping | None = None,
    weights_initializer: Callable = _XAVIER,
    weights_regularizer: Callable | None = None,
    biases_initializer: Callable | None = _ZEROS,
    biases_regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
    conv_dims: int = 2,
) -> Tensor:
    """Slide filters the other way: every input adds a filter to the output.

    Parameters
    ----------
    inputs : Tensor
        ``[B, *spatial, channels]``
    num_outputs : int
    kernel_size : int or sequence of int
    stride : int or sequence of int, default=1
        How far the filters move in the output.
    padding : {"SAME", "VALID"}, default="SAME"
        SAME: the output is `stride` times as large; VALID: it holds all of every
        filter.
    data_format, activation_fn, normalizer_fn, normalizer_params, \
weights_initializer, weights_regularizer, biases_initializer, biases_regularizer, \
reuse, variables_collections, outputs_collections, trainable
        As in `convolution`.
    scope : str, optional
        The variables are ``<scope>/weights`` of shape
        ``[*kernel_size, num_outputs, channels]`` and ``<scope>/biases``.
    conv_dims : int
        The number of spatial axes.

    Returns
    -------
    Tensor
        ``[B, *spatial · stride, num_outputs]``

    References
    ----------
    Zeiler et al., "Deconvolutional networks", 2010.
    """
    axes, name = conv_dims, f"conv{conv_dims}d_transpose"
    images.check_space(name, inputs, axes)
    num_outputs = utils.check_size(name, "num_outputs", num_outputs)
    kernel = images.sizes(name, "kernel_size", kernel_size, axes)
    stride = images.sizes(name, "stride", stride, axes)
    if padding not in ("SAME", "VALID"):
        raise ValueError(f"{name}: padding must be 'SAME' or 'VALID', got {padding!r}")
    utils.check_function(name, "normalizer_fn", normalizer_fn, "batch_norm")
    tail = Tail(
        activation_fn,
        normalizer_fn,
        normalizer_params,
        biases_initializer,
        biases_regularizer,
        variables_collections,
        trainable,
        data_format,
    )

    def convolve(inputs):
        weights = model_variable(
            "weights",
            [*kernel, num_outputs, utils.feature_count(name, inputs)],
            initializer=weights_initializer,
            regularizer=weights_regularizer,
            trainable=trainable,
            collections=utils.get_variable_collections(
                variables_collections, "weights"
            ),
        )
        size = [
            n * s if padding == "SAME" else n * s + max(k - s, 0)
            for n, k, s in zip(inputs.shape[1:-1], kernel, stride, strict=True)
        ]
        outputs = ops.convolution_transpose(inputs, weights, size, stride, padding)
        return tail.finish(outputs)

    with variable_scope(scope, name.capitalize(), reuse=reuse) as opened:
        outputs = images.channels_last(name, inputs, data_format, convolve)
        return utils.collect_named_outputs(outputs_collections, opened.name, outputs)


conv2d_transpose = convolution2d_transpose = images.fixing(
    _transposed, "conv2d_transpose", conv_dims=2
)
conv3d_transpose = convolution3d_transpose = images.fixing(
    _transposed, "conv3d_transpose", conv_dims=3
)
convolution2d_in_plane = conv2d_in_plane
separable_convolution2d = separable_conv2d
