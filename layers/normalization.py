"""Layers that bring values to mean 0 and variance 1, and vectors to length 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from slimlearn.backend import ops
from slimlearn.backend.graph import (
    State,
    Tensor,
    absolute_scope,
    current_graph,
    type_text,
)
from slimlearn.backend.shape import product
from slimlearn.layers import activation, images, utils
from slimlearn.layers.annotations import Activation, DataFormat
from slimlearn.layers.initializers import (
    constant_initializer,
    ones_initializer,
    zeros_initializer,
)
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope
from slimlearn.layers.sequence import mean_over, sequence_length, sequence_mask
from slimlearn.layers.variables import model_variable, state_variable

# Where a function's graph keeps the layers that normalize by the batch's rows alone.
BY_ROWS = "by_rows"


# The states of a batch norm: its averages, and what they weigh together.
AVERAGES = ("moving_mean", "moving_variance")
WEIGHT = "moving_weight"


@add_arg_scope
def batch_norm(
    inputs: Tensor,
    decay: float = 0.999,
    center: bool = True,
    scale: bool = False,
    epsilon: float = 0.001,
    activation_fn: Activation | None = None,
    param_initializers: Mapping | None = None,
    param_regularizers: Mapping | None = None,
    updates_collections: str | None = None,
    is_training: bool | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    batch_weights: Tensor | None = None,
    fused: bool | None = None,
    data_format: DataFormat = "NHWC",
    zero_debias_moving_mean: bool = True,
    scope: str | None = None,
    renorm: bool = False,
    renorm_clipping: Mapping | None = None,
    renorm_decay: float = 0.99,
    adjustment: Callable | None = None,
) -> Tensor:
    """Normalize each feature by its mean and variance over the batch.

    Training uses the batch's moments, weighted by the rows' weights, and moves the
    averages that inference uses. The averages need no update op and no warm-up:
    each is the exponentially weighted mean of the batches seen so far. The moments of
    one row say nothing: estimators refuse to train on batches of a row of [B, n].
    How much the averages weigh together, from 0 at the start up to 1, is the state
    ``moving_weight``. Averages that are given, by `param_initializers` or as weights of
    TF-Slim, Keras or PyTorch, weigh 1: training goes on from them by `decay`.

    Parameters
    ----------
    inputs : Tensor
        [B, …, n]; moments are taken over all axes but the last, of sequences over
        their own steps.
    decay : float, default=0.999
        How much of the averages a step keeps, at least 0 and below 1.
    center : bool, default=True
        Add a trained ``beta``.
    scale : bool, default=False
        Multiply by a trained ``gamma``; not needed before a linear layer.
    epsilon : float, default=0.001
        Added to the variance.
    activation_fn : callable, str or None, default=None
        As in `fully_connected`.
    param_initializers, param_regularizers : dict, optional
        By ``"beta"`` and ``"gamma"``; initializers also by ``"moving_mean"`` and
        ``"moving_variance"``, the other of which then starts at 0 or 1.
    is_training : bool, optional
        By default as the network is being built.
    reuse, variables_collections, outputs_collections, trainable
        As in `fully_connected`.
    batch_weights : Tensor, optional
        [B], the weights of the rows; by default the sample weights of `fit`.
    data_format : {"NHWC", "NCHW"}, default="NHWC"
        As in `convolution`; features of rows stand last.
    updates_collections, fused, zero_debias_moving_mean
        Accepted for TF-Slim's sake, without effect: the averages always update and
        are always free of bias.
    renorm, renorm_clipping, renorm_decay, adjustment
        Not offered: `renorm` must be False, `adjustment` None.
    scope : str, optional
        ``BatchNorm`` by default; variables are ``<scope>/beta``, ``gamma``,
        ``moving_mean``, ``moving_variance`` and ``moving_weight``.

    Returns
    -------
    Tensor
        As `inputs`.

    Notes
    -----
    The moving variance is that of the batches' own elements, divided by their number n;
    PyTorch and TensorFlow's fused layer keep n / (n - 1) of it, which matters for small
    batches. `decay` is what PyTorch calls ``1 - momentum``; its averages keep a share
    of the 0 and 1 that they start from, these do not.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", 2015.
    """
    utils.check_float("batch_norm", inputs, min_rank=2)
    if renorm or adjustment is not None:
        raise ValueError("batch_norm: renorm and adjustment are not offered")
    if not 0 <= decay < 1:
        raise ValueError(
            f"batch_norm: decay must be at least 0 and below 1, got {decay!r}"
        )
    training = utils.in_training("batch_norm", is_training)

    def normalize(inputs):
        size = utils.feature_count("batch_norm", inputs)
        offset, factor = offset_and_factor(
            [size],
            center,
            scale,
            trainable,
            variables_collections,
            param_initializers,
            param_regularizers,
        )
        averages = _Averages(size, decay, variables_collections, param_initializers)
        if training:
            weights = batch_weights
            if weights is None:
                weights = current_graph().sample_weight
            if product(inputs.shape[1:-1]) == 1:
                known = current_graph().root.layers
                known.setdefault(BY_ROWS, []).append(layer.name)
            axes = list(range(inputs.rank - 1))
            mean = _mean(inputs, axes, weights, "mean")
            # As a constant the shift takes no gradient over all rows. Around any
            # constant the variance is M((x - shift)²) - (mean - shift)².
            shift = ops.stop_gradient(mean)
            rest = ops.sub(mean, shift, name="rest")  # 0, but for its slope
            centered = ops.sub(inputs, shift, name="centered")
            square = _mean(ops.square(centered), axes, weights, "square")
            variance = ops.sub(square, ops.square(rest), name="variance")
            averages.move(mean, variance)
        else:
            centered = ops.sub(inputs, averages.mean, name="centered")
            variance, rest = averages.variance, None
        outputs = _normalize(centered, rest, variance, offset, factor, epsilon)
        return activation.get(activation_fn)(outputs)

    with variable_scope(scope, "BatchNorm", reuse=reuse) as layer:
        outputs = images.channels_last("batch_norm", inputs, data_format, normalize)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def layer_norm(
    inputs: Tensor,
    center: bool = True,
    scale: bool = True,
    activation_fn: Activation | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    begin_norm_axis: int = 1,
    begin_params_axis: int = -1,
    scope: str | None = None,
    epsilon: float = 1e-12,
) -> Tensor:
    """Normalize each row by the mean and variance of its own features.

    Parameters
    ----------
    inputs : Tensor
        [B, …, n]
    center, scale : bool, default=True
        Add a trained ``beta``; multiply by a trained ``gamma``.
    activation_fn : callable, str or None, default=None
        As in `fully_connected`.
    reuse, variables_collections, outputs_collections, trainable
        As in `fully_connected`.
    begin_norm_axis : int, default=1
        The first of the axes over which moments are taken; these need two numbers.
    begin_params_axis : int, default=-1
        The first of the axes along which ``beta`` and ``gamma`` differ.
    scope : str, optional
        ``LayerNorm`` by default.
    epsilon : float, default=1e-12
        Added to the variance.

    Returns
    -------
    Tensor
        As `inputs`.

    References
    ----------
    Ba et al., "Layer normalization", 2016.
    """
    utils.check_float("layer_norm", inputs, min_rank=2)
    rank = inputs.rank
    first = utils.check_axis("layer_norm", "begin_norm_axis", begin_norm_axis, rank)
    own = utils.check_axis("layer_norm", "begin_params_axis", begin_params_axis, rank)
    shape = inputs.shape[own:]
    if not all(isinstance(size, int) for size in shape):
        raise ValueError(
            f"layer_norm: begin_params_axis={begin_params_axis} makes parameters of "
            f"shape {list(shape)}, which must be numbers"
        )
    axes = list(range(first, rank))
    if product(inputs.shape[first:]) == 1:
        raise ValueError(
            f"layer_norm: a row of inputs {type_text(*inputs.type)} has one number to "
            "normalize, which would always become 0: give it more, or leave the "
            "normalization out"
        )
    with variable_scope(scope, "LayerNorm", reuse=reuse) as layer:
        offset, factor = offset_and_factor(
            shape, center, scale, trainable, variables_collections
        )
        outputs = standardized(inputs, axes, epsilon, offset, factor)
        outputs = activation.get(activation_fn)(outputs)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def unit_norm(
    inputs: Tensor, dim: int, epsilon: float = 1e-7, scope: str | None = None
) -> Tensor:
    """Divide by the length along an axis: x / sqrt(epsilon + Σ x²).

    Parameters
    ----------
    inputs : Tensor
    dim : int
        The axis.
    epsilon : float, default=1e-7
        Keeps 0 from being divided by.
    scope : str, optional
        ``UnitNorm`` by default.
    """
    utils.check_float("unit_norm", inputs, min_rank=1)
    dim = utils.check_axis("unit_norm", "dim", dim, inputs.rank)
    with variable_scope(scope, "UnitNorm"):
        total = ops.reduce_sum(ops.square(inputs), [dim], keepdims=True)
        return ops.mul(inputs, ops.rsqrt(total + epsilon))


def standardized(
    inputs: Tensor,
    axes: list[int],
    epsilon: float,
    offset: Tensor | None,
    factor: Tensor | None,
) -> Tensor:
    """Return inputs of mean 0 and variance 1 over axes of a row, scaled and moved."""
    mean = mean_over(inputs, axes, keepdims=True, name="mean")
    centered = ops.sub(inputs, mean, name="centered")
    variance = mean_over(ops.square(centered), axes, keepdims=True, name="variance")
    deviation = ops.rsqrt(variance + epsilon)
    outputs = ops.mul(centered, deviation, name="normalized")
    if factor is not None:
        outputs = ops.mul(outputs, factor)
    return outputs if offset is None else ops.add(outputs, offset)


def offset_and_factor(
    shape,
    center,
    scale,
    trainable,
    variables_collections,
    initializers=None,
    regularizers=None,
) -> tuple[Tensor | None, Tensor | None]:
    """Make ``beta`` and ``gamma`` as far as they are wanted."""

    def parameter(name, wanted, initializer):
        if not wanted:
            return None
        return model_variable(
            name,
            shape,
            initializer=(initializers or {}).get(name, initializer),
            regularizer=(regularizers or {}).get(name),
            trainable=trainable,
            collections=utils.get_variable_collections(variables_collections, name),
        )

    return (
        parameter("beta", center, zeros_initializer()),
        parameter("gamma", scale, ones_initializer()),
    )


def _normalize(centered, rest, variance, offset, factor, epsilon) -> Tensor:
    slope = ops.rsqrt(variance + epsilon)
    if factor is not None:
        slope = ops.mul(slope, factor)
    outputs = ops.mul(centered, slope, name="normalized")
    if rest is not None:
        moved = ops.mul(rest, slope)
        offset = ops.neg(moved) if offset is None else ops.sub(offset, moved)
    return outputs if offset is None else ops.add(outputs, offset)


def _mean(values: Tensor, axes: list[int], weights: Tensor | None, name: str) -> Tensor:
    """The mean over `axes`, rows weighted: Σ w·x / (Σ w · rest)."""
    if values.rank > 2 and sequence_length(values) is not None:
        shares = _shares_of_steps(values, weights)
        return ops.reduce_sum(ops.mul(values, shares), axes, name=name)
    if weights is None:
        return ops.reduce_mean(values, axes, name=name)
    return ops.reduce_sum(ops.mul(values, _shares(values, weights)), axes, name=name)


def _shares_of_steps(values: Tensor, weights: Tensor | None) -> Tensor:
    """What each step's elements count in a mean: in the padding nothing."""
    known = current_graph().layers.setdefault("shares", {})
    mask = sequence_mask(values)
    own = "" if weights is None else weights.name
    key = own, mask.name, values.dtype, values.rank
    if key not in known:
        counts = ops.cast(mask, values.dtype)
        if weights is not None:
            column = ops.reshape(ops.cast(weights, values.dtype), (values.shape[0], 1))
            counts = ops.mul(counts, column)
        total = ops.mul(ops.reduce_sum(counts), float(product(values.shape[2:-1])))
        shape = (*values.shape[:2], *[1] * (values.rank - 2))
        known[key] = ops.reshape(ops.div(counts, total), shape, name="share")
    return known[key]


def _shares(values: Tensor, weights: Tensor) -> Tensor:
    """What each row's elements count in a mean; the layers of a function share it."""
    if weights.shape != values.shape[:1]:
        raise ValueError(
            f"batch_norm: batch_weights must have the shape {list(values.shape[:1])}, "
            f"%{weights.name} has {list(weights.shape)}"
        )
    rest = product(values.shape[1:-1])
    known = current_graph().layers.setdefault("shares", {})
    key = weights.name, values.dtype, values.rank, rest
    if key not in known:
        with absolute_scope(weights.name):
            if weights.dtype != values.dtype:
                weights = ops.cast(weights, values.dtype)
            total = ops.reduce_sum(weights, name="total")
            if rest != 1:
                total = ops.mul(total, ops.extent(rest, values.dtype))
            column = (values.shape[0], *[1] * (values.rank - 1))
            known[key] = ops.reshape(ops.div(weights, total), column, name="share")
    return known[key]


class _Averages:
    """The moving mean and variance of a batch norm, and their common weight.

    After t steps the sum of the weights 1 - decay^t is the state `moving_weight`;
    a step of (1 - decay) / moving_weight towards the batch's value keeps the mean
    over all batches exactly that of the exponential weights: free of bias. Averages
    that are given begin with the weight 1.
    """

    def __init__(self, size, decay, variables_collections, initializers):
        initializers = initializers or {}

        def state(name, shape, initializer):
            return state_variable(
                name,
                shape,
                initializers.get(name, initializer),
                utils.get_variable_collections(variables_collections, name),
            )

        self.decay = decay
        self.mean = state(AVERAGES[0], [size], zeros_initializer())
        self.variance = state(AVERAGES[1], [size], ones_initializer())
        given = any(name in initializers for name in AVERAGES)
        self.weight = state(WEIGHT, [], constant_initializer(float(given)))

    def move(self, mean: Tensor, variance: Tensor) -> None:
        """Write the averages' next values at the function's end."""
        new = 1.0 - self.decay
        weight = ops.add(_pending(self.weight) * self.decay, new)
        step = ops.div(new, weight)
        for average, value in ((self.mean, mean), (self.variance, variance)):
            old = _pending(average)
            _set(average, ops.add(old, ops.sub(value, old) * step))
        _set(self.weight, weight)


def _pending(state: State) -> Tensor:
    """What the state will be; a layer that is used twice moves it twice."""
    return current_graph().sets.get(state.name, state)


def _set(state: State, value: Tensor) -> None:
    graph = current_graph()
    graph.sets.pop(state.name, None)
    graph.set_(state, value)
