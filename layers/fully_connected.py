"""Layers of matrix products and biases, and what changes the shape around them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, name_scope, storage_of
from slimlearn.backend.shape import product
from slimlearn.layers import activation, images, utils
from slimlearn.layers.annotations import Activation, DataFormat, Parametrization
from slimlearn.layers.initializers import (
    random_normal_initializer,
    xavier_initializer,
    zeros_initializer,
)
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope
from slimlearn.layers.tail import Tail
from slimlearn.layers.variables import factors, model_variable

_Layer = TypeVar("_Layer", bound=Callable)
if TYPE_CHECKING:
    from typing_extensions import Unpack

    from slimlearn.layers.annotations import DenseArguments

_XAVIER = xavier_initializer()
_ZEROS = zeros_initializer()
_UNIT = random_normal_initializer()


@add_arg_scope
def fully_connected(
    inputs: Tensor,
    num_outputs: int,
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
    parametrization: Parametrization = "standard",
    learning_rate_factor: float | Mapping[str, float] | None = None,
    decay_factor: float | Mapping[str, float] | None = None,
) -> Tensor:
    """Multiply by a weight matrix, add biases or normalize, and activate.

    Parameters
    ----------
    inputs : Tensor
        [B, …, n] with n fixed; the layer acts on the last axis. Or sparse rows.
    num_outputs : int
        The number of units.
    activation_fn : callable, str or None, default=relu
        See `slimlearn.layers.activation`; None keeps the layer linear.
    normalizer_fn : callable, optional
        Such as `batch_norm`; then the layer has no biases.
    normalizer_params : dict, optional
        Arguments of `normalizer_fn`.
    weights_initializer, biases_initializer : callable
        See `slimlearn.layers.initializers`; without `biases_initializer` the layer
        has no biases.
    weights_regularizer, biases_regularizer : callable, optional
        See `slimlearn.layers.regularizers`.
    reuse : bool, optional
        True shares the variables of a layer that has the same scope.
    variables_collections : sequence of str, or dict, optional
        Lists of the model for the variables, or such lists by ``"weights"`` and
        ``"biases"``.
    outputs_collections : str or sequence of str, optional
        Lists of the function for the output; see `utils.convert_collection_to_dict`.
    trainable : bool, default=True
        False keeps the initial variables.
    scope : str, optional
        The layer's name, `fully_connected` by default: variables are
        ``<scope>/weights`` and ``<scope>/biases``.
    parametrization : {"standard", "ntk"}, default="standard"
        "ntk" divides the product by √n, n the number of inputs, and draws weights of
        deviation 1, unless an initializer is given: then one learning rate, larger
        than usual, fits layers of every width.
    learning_rate_factor, decay_factor : float or dict, optional
        For all variables of the layer, or by ``"weights"`` and ``"biases"``; see
        `model_variable`.

    Returns
    -------
    Tensor
        [B, …, num_outputs]

    References
    ----------
    Jacot, Gabriel and Hongler, "Neural tangent kernel: convergence and generalization
    in neural networks", 2018.

    Examples
    --------
    >>> from slimlearn import NetworkClassifier, layers, network
    >>> @network
    ... def wide(x, num_outputs, units=256):
    ...     ntk = {"parametrization": "ntk", "learning_rate_factor": {"biases": 0.1}}
    ...     x = layers.fully_connected(x, units, **ntk)
    ...     return layers.linear(x, num_outputs, **ntk)
    >>> clf = NetworkClassifier(wide(), learning_rate=0.04, random_state=0)
    """
    num_outputs = utils.check_size("fully_connected", "num_outputs", num_outputs)
    utils.check_float("fully_connected", inputs, min_rank=2, sparse=True)
    utils.check_function(
        "fully_connected", "normalizer_fn", normalizer_fn, "batch_norm"
    )
    if parametrization not in ("standard", "ntk"):
        raise ValueError(
            "fully_connected: parametrization must be 'standard' or 'ntk', got "
            f"{parametrization!r}"
        )
    num_inputs = utils.feature_count("fully_connected", inputs)
    ntk = parametrization == "ntk"
    if ntk and weights_initializer is _XAVIER:
        weights_initializer = _UNIT
    names = ["weights", *(["biases"] if biases_initializer is not None else [])]
    own = factors(
        "fully_connected",
        learning_rate_factor,
        decay_factor,
        names if normalizer_fn is None else None,
    )
    tail = Tail(
        activation_fn,
        normalizer_fn,
        normalizer_params,
        biases_initializer,
        biases_regularizer,
        variables_collections,
        trainable,
    )
    with variable_scope(scope, "fully_connected", reuse=reuse) as layer, own:
        weights = model_variable(
            "weights",
            [num_inputs, num_outputs],
            initializer=weights_initializer,
            regularizer=weights_regularizer,
            trainable=trainable,
            collections=utils.get_variable_collections(
                variables_collections, "weights"
            ),
        )
        multiply = ops.csr_matmul if storage_of(inputs.dtype) else ops.matmul
        product_ = multiply(inputs, weights)
        if ntk:
            product_ = ops.mul(product_, 1 / math.sqrt(num_inputs))
        outputs = tail.finish(product_)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


def _as_fully_connected(layer: _Layer) -> _Layer:
    """Show the arguments of `fully_connected` but the activation, which is fixed."""
    shown = inspect.signature(fully_connected)
    first, *others = shown.parameters.values()
    named = [p.replace(kind=p.KEYWORD_ONLY) for p in others[1:]]
    kept = [p for p in named if p.name != "activation_fn"]
    layer.__signature__ = shown.replace(parameters=[first, others[0], *kept])
    layer.func = fully_connected  # whose name and arg_scope the layer has
    return layer


@_as_fully_connected
def relu(
    inputs: Tensor, num_outputs: int, **arguments: Unpack[DenseArguments]
) -> Tensor:
    """A fully connected layer with max(z, 0) for activation.

    Parameters
    ----------
    inputs : Tensor
        [B, …, n]
    num_outputs : int
        The number of units.
    **arguments
        The others of `fully_connected`, by name; an `arg_scope` of that layer counts.

    Returns
    -------
    Tensor
        [B, …, num_outputs]
    """
    return fully_connected(
        inputs, num_outputs, activation_fn=activation.relu, **arguments
    )


@_as_fully_connected
def relu6(
    inputs: Tensor, num_outputs: int, **arguments: Unpack[DenseArguments]
) -> Tensor:
    """A fully connected layer with min(max(z, 0), 6) for activation.

    Parameters
    ----------
    inputs : Tensor
        [B, …, n]
    num_outputs : int
        The number of units.
    **arguments
        The others of `fully_connected`, by name; an `arg_scope` of that layer counts.

    Returns
    -------
    Tensor
        [B, …, num_outputs]
    """
    return fully_connected(
        inputs, num_outputs, activation_fn=activation.relu6, **arguments
    )


@_as_fully_connected
def elu(
    inputs: Tensor, num_outputs: int, **arguments: Unpack[DenseArguments]
) -> Tensor:
    """A fully connected layer with the activation `elu`.

    Parameters
    ----------
    inputs : Tensor
        [B, …, n]
    num_outputs : int
        The number of units.
    **arguments
        The others of `fully_connected`, by name; an `arg_scope` of that layer counts.

    Returns
    -------
    Tensor
        [B, …, num_outputs]
    """
    return fully_connected(
        inputs, num_outputs, activation_fn=activation.elu, **arguments
    )


@_as_fully_connected
def linear(
    inputs: Tensor, num_outputs: int, **arguments: Unpack[DenseArguments]
) -> Tensor:
    """A fully connected layer without activation.

    Parameters
    ----------
    inputs : Tensor
        [B, …, n]
    num_outputs : int
        The number of units.
    **arguments
        The others of `fully_connected`, by name; an `arg_scope` of that layer counts.

    Returns
    -------
    Tensor
        [B, …, num_outputs]
    """
    return fully_connected(inputs, num_outputs, activation_fn=None, **arguments)


@add_arg_scope
def bias_add(
    inputs: Tensor,
    activation_fn: Activation | None = None,
    initializer: Callable = _ZEROS,
    regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    data_format: DataFormat = "NHWC",
    scope: str | None = None,
) -> Tensor:
    """Add one bias per feature of the last axis; also a `normalizer_fn`.

    Parameters
    ----------
    inputs : Tensor
        [B, …, n]
    activation_fn, initializer, regularizer, reuse, variables_collections, \
outputs_collections, trainable
        As in `fully_connected`.
    data_format : {"NHWC", "NCHW"}, default="NHWC"
        As in `convolution`; features of rows stand last.
    scope : str, optional
        ``BiasAdd`` by default; the variable is ``<scope>/biases``.

    Returns
    -------
    Tensor
        As `inputs`.
    """
    utils.check_float("bias_add", inputs, min_rank=2)

    def biased(inputs):
        biases = model_variable(
            "biases",
            [utils.feature_count("bias_add", inputs)],
            initializer=initializer,
            regularizer=regularizer,
            trainable=trainable,
            collections=utils.get_variable_collections(variables_collections, "biases"),
        )
        return activation.get(activation_fn)(ops.add(inputs, biases))

    with variable_scope(scope, "BiasAdd", reuse=reuse) as layer:
        outputs = images.channels_last("bias_add", inputs, data_format, biased)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def flatten(
    inputs: Tensor,
    outputs_collections: str | Sequence[str] | None = None,
    scope: str | None = None,
) -> Tensor:
    """Return [B, k], k the product of all dimensions but the first.

    Parameters
    ----------
    inputs : Tensor
        [B, …]
    outputs_collections : str or sequence of str, optional
        As in `fully_connected`.
    scope : str, optional
        ``Flatten`` by default.

    Returns
    -------
    Tensor
        [B, k]
    """
    utils.check_tensor("flatten", inputs, min_rank=1)
    with variable_scope(scope, "Flatten") as layer:
        shape = (inputs.shape[0], product(inputs.shape[1:]))
        outputs = inputs if inputs.rank == 2 else ops.reshape(inputs, shape)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def softmax(logits: Tensor, scope: str | None = None) -> Tensor:
    """Return probabilities over the last axis: exp(z) / Σ exp(z).

    Parameters
    ----------
    logits : Tensor
        [B, …, k]
    scope : str, optional
        ``softmax`` by default.

    Returns
    -------
    Tensor
        As `logits`.
    """
    utils.check_float("softmax", logits, min_rank=2)
    with variable_scope(scope, "softmax"):
        return ops.softmax(logits)


@add_arg_scope
def maxout(
    inputs: Tensor, num_units: int, axis: int = -1, scope: str | None = None
) -> Tensor:
    """Return the greatest of each group of neighbouring features.

    Parameters
    ----------
    inputs : Tensor
    num_units : int
        How many features remain; a divisor of their number.
    axis : int, default=-1
        The axis of the features.
    scope : str, optional
        ``MaxOut`` by default.

    Returns
    -------
    Tensor
        As `inputs`, with `num_units` along `axis`.

    References
    ----------
    Goodfellow et al., "Maxout networks", 2013.
    """
    utils.check_float("maxout", inputs, min_rank=1)
    num_units = utils.check_size("maxout", "num_units", num_units)
    axis = utils.check_axis("maxout", "axis", axis, inputs.rank)
    features = inputs.shape[axis]
    if not isinstance(features, int) or features % num_units:
        raise ValueError(
            f"maxout: num_units={num_units} must divide the number of features, which "
            f"is {features}"
        )
    groups = (num_units, features // num_units)
    with variable_scope(scope, "MaxOut"):
        grouped = ops.reshape(
            inputs, (*inputs.shape[:axis], *groups, *inputs.shape[axis + 1 :])
        )
        return ops.reduce_max(grouped, [axis + 1])


@add_arg_scope
def glu(inputs: Tensor, axis: int = -1, scope: str | None = None) -> Tensor:
    """Return the first half of the features times the sigmoid of the second.

    Behind a linear layer of twice the units it is an activation whose gates are trained
    too: products of features that a sum of them cannot tell.

    Parameters
    ----------
    inputs : Tensor
    axis : int, default=-1
        The axis of the features, of an even number.
    scope : str, optional
        ``GLU`` by default.

    Returns
    -------
    Tensor
        As `inputs`, with half the features along `axis`.

    References
    ----------
    Dauphin, Fan, Auli and Grangier, "Language modeling with gated convolutional
    networks", 2017.

    Examples
    --------
    >>> from slimlearn import NetworkClassifier, layers, network
    >>> @network
    ... def gated(x, num_outputs, units=(64, 64)):
    ...     for size in units:
    ...         x = layers.glu(layers.linear(x, 2 * size))
    ...     return layers.linear(x, num_outputs)
    >>> clf = NetworkClassifier(gated(), random_state=0)
    """
    utils.check_float("glu", inputs, min_rank=2)
    axis = utils.check_axis("glu", "axis", axis, inputs.rank)
    features = inputs.shape[axis]
    if not isinstance(features, int) or features % 2 or features == 0:
        raise ValueError(
            f"glu: the number of features must be even and at least 2, one half of "
            f"gates; it is {features}"
        )
    with variable_scope(scope, "GLU"):
        values, gates = ops.split(inputs, 2, axis)
        return ops.mul(values, ops.sigmoid(gates))


def scale_gradient(inputs: Tensor, gradient_multiplier: float | Tensor) -> Tensor:
    """Return `inputs`, whose gradient will be multiplied by a factor.

    Parameters
    ----------
    inputs : Tensor
    gradient_multiplier : float or Tensor
        Its shape must broadcast to that of `inputs`.

    Returns
    -------
    Tensor
        The values of `inputs`.
    """
    utils.check_float("scale_gradient", inputs)
    with name_scope("scale_gradient"):
        scaled = ops.mul(inputs, gradient_multiplier)
        # The second term is exactly 0, but has a gradient.
        return ops.add(
            ops.stop_gradient(inputs), ops.sub(scaled, ops.stop_gradient(scaled))
        )
