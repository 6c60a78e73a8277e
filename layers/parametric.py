"""Trained numbers of single features: factors, and slopes of activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.layers import activation, utils
from slimlearn.layers.annotations import Activation
from slimlearn.layers.initializers import constant_initializer, ones_initializer
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope
from slimlearn.layers.variables import factors, model_variable

_ONES = ones_initializer()
_QUARTER = constant_initializer(0.25)


@add_arg_scope
def scale(
    inputs: Tensor,
    initializer: Callable = _ONES,
    regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
    learning_rate_factor: float | None = None,
    decay_factor: float | None = None,
) -> Tensor:
    """Multiply each feature of the last axis by a trained factor.

    Before the first layer it learns which columns matter.

    Parameters
    ----------
    inputs : Tensor
        [B, …, n]
    initializer : callable, default=ones
        Of the factors.
    regularizer : callable, optional
        The penalty on them.
    reuse, variables_collections, outputs_collections, trainable, \
learning_rate_factor, decay_factor
        As in `fully_connected`; a `learning_rate_factor` of 6 is usual beside weights
        of the "ntk" parametrization.
    scope : str, optional
        ``scale`` by default; the variable is ``<scope>/scales``.

    Returns
    -------
    Tensor
        As `inputs`.

    References
    ----------
    Holzmüller, Grinsztajn and Steinwart, "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", 2024.
    """
    utils.check_float("scale", inputs, min_rank=2)
    own = factors("scale", learning_rate_factor, decay_factor, ["scales"])
    with variable_scope(scope, "scale", reuse=reuse) as layer, own:
        scales = model_variable(
            "scales",
            [utils.feature_count("scale", inputs)],
            initializer=initializer,
            regularizer=regularizer,
            trainable=trainable,
            collections=utils.get_variable_collections(variables_collections, "scales"),
        )
        outputs = ops.mul(inputs, scales)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def prelu(
    inputs: Tensor,
    initializer: Callable = _QUARTER,
    regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
    learning_rate_factor: float | None = None,
    decay_factor: float | None = None,
) -> Tensor:
    """Return z where it is positive, else z times a slope that each feature learns.

    Also an `activation_fn` of other layers.

    Parameters
    ----------
    inputs : Tensor
        [B, …, n]
    initializer : callable, default=constant of 0.25
        Of the slopes.
    regularizer : callable, optional
        The penalty on them.
    reuse, variables_collections, outputs_collections, trainable, \
learning_rate_factor, decay_factor
        As in `fully_connected`.
    scope : str, optional
        ``prelu`` by default; the variable is ``<scope>/slopes``.

    Returns
    -------
    Tensor
        As `inputs`.

    References
    ----------
    He, Zhang, Ren and Sun, "Delving deep into rectifiers: surpassing human-level
    performance on ImageNet classification", 2015.

    Examples
    --------
    >>> from slimlearn import NetworkClassifier, layers, network
    >>> @network
    ... def tower(x, num_outputs, units=(64, 32)):
    ...     for size in units:
    ...         x = layers.fully_connected(x, size, activation_fn=layers.prelu)
    ...     return layers.linear(x, num_outputs)
    >>> clf = NetworkClassifier(tower(), random_state=0)
    """
    utils.check_float("prelu", inputs, min_rank=2)
    own = factors("prelu", learning_rate_factor, decay_factor, ["slopes"])
    with variable_scope(scope, "prelu", reuse=reuse) as layer, own:
        slopes = model_variable(
            "slopes",
            [utils.feature_count("prelu", inputs)],
            initializer=initializer,
            regularizer=regularizer,
            trainable=trainable,
            collections=utils.get_variable_collections(variables_collections, "slopes"),
        )
        below = ops.mul(ops.minimum(inputs, 0.0), slopes)
        outputs = ops.add(ops.relu(inputs), below)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


@add_arg_scope
def parametric_activation(
    inputs: Tensor,
    activation_fn: Activation = activation.relu,
    initializer: Callable = _ONES,
    regularizer: Callable | None = None,
    reuse: bool | None = None,
    variables_collections: Sequence[str] | Mapping | None = None,
    outputs_collections: str | Sequence[str] | None = None,
    trainable: bool = True,
    scope: str | None = None,
    learning_rate_factor: float | None = None,
    decay_factor: float | None = None,
) -> Tensor:
    """Return z + a · (f(z) - z), f an activation that each feature learns a share a of.

    Parameters
    ----------
    inputs : Tensor
        [B, …, n]
    activation_fn : callable or str, default=relu
        The activation f; see `slimlearn.layers.activation`.
    initializer : callable, default=ones
        Of the shares: 1 is the activation, 0 nothing.
    regularizer : callable, optional
        The penalty on them.
    reuse, variables_collections, outputs_collections, trainable, \
learning_rate_factor, decay_factor
        As in `fully_connected`; a `learning_rate_factor` of 0.1 is usual beside
        weights of the "ntk" parametrization.
    scope : str, optional
        ``parametric_activation`` by default; the variable is ``<scope>/shares``.

    Returns
    -------
    Tensor
        As `inputs`.

    References
    ----------
    Holzmüller, Grinsztajn and Steinwart, "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", 2024.

    Examples
    --------
    >>> from slimlearn import NetworkRegressor, layers, network
    >>> @network
    ... def tower(x, num_outputs, units=(64, 32)):
    ...     for size in units:
    ...         x = layers.linear(x, size)
    ...         x = layers.parametric_activation(x, "mish", learning_rate_factor=0.1)
    ...     return layers.linear(x, num_outputs)
    >>> reg = NetworkRegressor(tower(), random_state=0)
    """
    where = "parametric_activation"
    utils.check_float(where, inputs, min_rank=2)
    own = factors(where, learning_rate_factor, decay_factor, ["shares"])
    with variable_scope(scope, where, reuse=reuse) as layer, own:
        shares = model_variable(
            "shares",
            [utils.feature_count(where, inputs)],
            initializer=initializer,
            regularizer=regularizer,
            trainable=trainable,
            collections=utils.get_variable_collections(variables_collections, "shares"),
        )
        changed = ops.sub(activation.get(activation_fn)(inputs), inputs)
        outputs = ops.add(inputs, ops.mul(changed, shares))
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)
