"""Layers of several members that share their weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.layers import activation, utils
from slimlearn.layers.annotations import Activation, Parametrization
from slimlearn.layers.initializers import (
    ones_initializer,
    random_normal_initializer,
    random_uniform_initializer,
    xavier_initializer,
    zeros_initializer,
)
from slimlearn.layers.names import variable_scope
from slimlearn.layers.scope import add_arg_scope
from slimlearn.layers.variables import factors, model_variable

_XAVIER = xavier_initializer()
_ONES, _ZEROS = ones_initializer(), zeros_initializer()
_UNIT = random_normal_initializer()
_EVEN = random_uniform_initializer(-1.0, 1.0)


@dataclass(frozen=True)
class _Signs:
    """1 and -1, each half of the time."""

    def __call__(self, shape: tuple, dtype: str, name: str) -> Tensor:
        drawn = _EVEN(shape, dtype, name)
        return ops.where(ops.less(drawn, 0.0), -1.0, ops.ones_like(drawn))


@add_arg_scope
def batch_ensemble(
    inputs: Tensor,
    num_outputs: int,
    num_members: int | None = None,
    activation_fn: Activation | None = activation.relu,
    shared: bool = True,
    weights_initializer: Callable = _XAVIER,
    weights_regularizer: Callable | None = None,
    scales_initializer: Callable | None = None,
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
    """A fully connected layer for each of several members, of one matrix of weights.

    Member i makes s_i · ((x · r_i) W) + b_i of its inputs: W is trained by all, the
    factors r_i of the inputs, s_i of the outputs and the biases b_i are its own. So an
    ensemble has hardly more weights than one network.

    Parameters
    ----------
    inputs : Tensor
        [B, n], which all members read, or [B, num_members, n], such as the outputs of
        another such layer.
    num_outputs : int
        The number of units of each member.
    num_members : int, optional
        Needed where the inputs are [B, n].
    activation_fn : callable, str or None, default=relu
        See `slimlearn.layers.activation`; None keeps the layer linear.
    shared : bool, default=True
        False gives each member a matrix of its own, as the last layer needs, and no
        factors.
    weights_initializer, weights_regularizer, biases_initializer, biases_regularizer
        As in `fully_connected`.
    scales_initializer : callable, optional
        Of the factors of the inputs; by default they are 1 or -1, drawn, where all
        members read the same, as they would be alike otherwise, and else 1.
    reuse, variables_collections, outputs_collections, trainable
        As in `fully_connected`.
    scope : str, optional
        ``batch_ensemble`` by default; the variables are ``<scope>/weights``,
        ``<scope>/input_scales``, ``<scope>/output_scales`` and ``<scope>/biases``.
    parametrization : {"standard", "ntk"}, default="standard"
        As in `fully_connected`.
    learning_rate_factor, decay_factor : float or dict, optional
        As in `fully_connected`, by these names.

    Returns
    -------
    Tensor
        [B, num_members, num_outputs]

    References
    ----------
    Wen, Tran and Ba, "BatchEnsemble: an alternative approach to efficient ensemble and
    lifelong learning", 2020. Gorishniy, Kotelnikov and Babenko, "TabM: advancing
    tabular deep learning with parameter-efficient ensembling", 2024.

    Examples
    --------
    >>> from slimlearn import NetworkRegressor, layers, network
    >>> from slimlearn.backend import ops
    >>> @network
    ... def members(x, num_outputs, count=8, units=64):
    ...     x = layers.batch_ensemble(x, units, count)
    ...     x = layers.batch_ensemble(x, units)
    ...     x = layers.batch_ensemble(x, num_outputs, activation_fn=None, shared=False)
    ...     return ops.reduce_mean(x, [1])
    >>> reg = NetworkRegressor(members(), random_state=0)
    """
    where = "batch_ensemble"
    utils.check_float(where, inputs, min_rank=2)
    units = utils.check_size(where, "num_outputs", num_outputs)
    count = _members(where, inputs, num_members)
    size = utils.feature_count(where, inputs)
    if parametrization not in ("standard", "ntk"):
        raise ValueError(
            f"{where}: parametrization must be 'standard' or 'ntk', got "
            f"{parametrization!r}"
        )
    ntk = parametrization == "ntk"
    if ntk and weights_initializer is _XAVIER:
        weights_initializer = _UNIT
    if scales_initializer is None:
        scales_initializer = _Signs() if inputs.rank == 2 else _ONES
    names = ["weights", *(["input_scales", "output_scales"] if shared else [])]
    if biases_initializer is not None:
        names.append("biases")
    own = factors(where, learning_rate_factor, decay_factor, names)
    with variable_scope(scope, where, reuse=reuse) as layer, own:

        def variable(name: str, shape: list[int], initializer, regularizer=None):
            collections = utils.get_variable_collections(variables_collections, name)
            return model_variable(
                name,
                shape,
                initializer=initializer,
                regularizer=regularizer,
                trainable=trainable,
                collections=collections,
            )

        shape = [size, units] if shared else [count, size, units]
        weights = variable("weights", shape, weights_initializer, weights_regularizer)
        if ntk:
            weights = ops.mul(weights, 1 / math.sqrt(size))
        if shared:
            scales = variable("input_scales", [count, size], scales_initializer)
            if inputs.rank == 2:
                inputs = ops.reshape(inputs, (inputs.shape[0], 1, size))
            outputs = ops.matmul(ops.mul(inputs, scales), weights)
            outputs = outputs * variable("output_scales", [count, units], _ONES)
        else:
            outputs = _apart(inputs, weights, count, units)
        if biases_initializer is not None:
            outputs = outputs + variable(
                "biases", [count, units], biases_initializer, biases_regularizer
            )
        outputs = activation.get(activation_fn)(outputs)
        return utils.collect_named_outputs(outputs_collections, layer.name, outputs)


def _members(where: str, inputs: Tensor, num_members: int | None) -> int:
    if inputs.rank == 2:
        if num_members is None:
            raise ValueError(
                f"{where}: inputs are [B, n], which tells no number of members: give "
                "num_members"
            )
        return utils.check_size(where, "num_members", num_members)
    count = inputs.shape[1] if inputs.rank == 3 else None
    if not isinstance(count, int):
        raise ValueError(
            f"{where}: inputs must be [B, n] or [B, members, n], got rank {inputs.rank}"
        )
    if num_members not in (None, count):
        raise ValueError(
            f"{where}: num_members={num_members}, but the inputs are those of {count} "
            "members"
        )
    return count


def _apart(inputs: Tensor, weights: Tensor, count: int, units: int) -> Tensor:
    """Each member's product with a matrix of its own."""
    rows, size = inputs.shape[0], inputs.shape[-1]
    if inputs.rank == 3 and utils.in_training("batch_ensemble", None):
        by_member = ops.matmul(ops.transpose(inputs, [1, 0, 2]), weights)
        return ops.transpose(by_member, [1, 0, 2])
    # A prediction of any number of rows runs in pieces where rows stay first.
    if inputs.rank == 2:
        flat = ops.reshape(ops.transpose(weights, [1, 0, 2]), (size, count * units))
        return ops.reshape(ops.matmul(inputs, flat), (rows, count, units))
    found = [ops.matmul(inputs[:, i], weights[i])[:, None] for i in range(count)]
    return ops.concat(found, 1)
