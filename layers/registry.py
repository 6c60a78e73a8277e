"""The losses and penalties of the function being built, and TF-Slim's weights."""

import re
from numbers import Real

from slimlearn.backend import ops
from slimlearn.backend.graph import (
    FLOATS,
    Parameter,
    Tensor,
    absolute_scope,
    current_graph,
    name_scope,
    type_text,
)
from slimlearn.backend.shape import product
from slimlearn.layers import per_example, regularizers
from slimlearn.layers.regularizers import REGULARIZATION_LOSSES, Penalty
from slimlearn.layers.scope import add_arg_scope
from slimlearn.layers.variables import variables_in_use

LOSSES = "losses"


@add_arg_scope
def add_loss(loss: Tensor, loss_collection: str | None = LOSSES) -> None:
    """Add a scalar to the losses of the function being built.

    Parameters
    ----------
    loss : Tensor
        A scalar of floating type.
    loss_collection : str or None
        The list; None adds it nowhere.
    """
    if not isinstance(loss, Tensor) or loss.shape != () or loss.dtype not in FLOATS:
        raise ValueError(f"add_loss: a loss must be a scalar f32 or f64, got {loss!r}")
    if loss_collection:
        current_graph().collection(loss_collection).append(loss)


def get_losses(scope: str | None = None, loss_collection: str = LOSSES) -> list[Tensor]:
    """Return the losses added so far whose names match `scope` from their start.

    Parameters
    ----------
    scope : str, optional
        A regular expression.
    loss_collection : str, default="losses"
        The list.

    Returns
    -------
    list of Tensor
    """
    pattern = re.compile(scope or "")
    found = current_graph().collection(loss_collection)
    return [loss for loss in found if pattern.match(loss.name)]


def get_regularization_losses(scope: str | None = None) -> list[Tensor]:
    """Return the penalties on this function's variables, as scalars of the graph.

    Penalties of `l1_regularizer` and its like are among them, for reading: training
    applies these from their coefficients, and adds `get_graph_penalties` alone.

    Parameters
    ----------
    scope : str, optional
        A regular expression that names must match from their start.

    Returns
    -------
    list of Tensor
    """
    pattern = re.compile(scope or "")
    found = _penalties(built_in=True) + _penalties(built_in=False)
    found += current_graph().collection(REGULARIZATION_LOSSES)
    return [loss for loss in found if pattern.match(loss.name)]


def get_graph_penalties() -> list[Tensor]:
    """Return the penalties that only the graph knows, which an objective must add.

    These are the penalties of regularizers that are plain functions, and what
    `apply_regularization` made.
    """
    made = current_graph().collection(REGULARIZATION_LOSSES)
    return _penalties(built_in=False) + made


def _penalties(built_in: bool) -> list[Tensor]:
    """Build, once a function, the penalties on the variables in use."""
    graph = current_graph()
    made = graph.layers.setdefault("penalties", {})
    for variable in variables_in_use():
        regularizer = getattr(variable, "regularizer", None)
        if regularizer is None or variable.name in made:
            continue
        if isinstance(regularizer, Penalty) is built_in:
            with absolute_scope(variable.name):
                made[variable.name] = regularizers.penalty(regularizer, variable)
    return [
        loss
        for name, loss in made.items()
        if loss is not None and _is_built_in(graph.model.declarations[name]) is built_in
    ]


def _is_built_in(parameter: Parameter) -> bool:
    return isinstance(parameter.regularizer, Penalty)


def get_total_loss(
    add_regularization_losses: bool = True, name: str = "total_loss"
) -> Tensor:
    """Return the sum of the losses added so far and, if wanted, the penalties.

    Parameters
    ----------
    add_regularization_losses : bool, default=True
    name : str, default="total_loss"
        Name of the ops.

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    ValueError
        There are none.
    """
    found = get_losses()
    if add_regularization_losses:
        found = found + get_regularization_losses()
    if not found:
        raise ValueError("get_total_loss: no loss has been added yet")
    total = found[0]
    with name_scope(name):
        for loss in found[1:]:
            total = ops.add(total, loss)
    return total


def compute_weighted_loss(
    losses: Tensor, weights: float | Tensor = 1.0, scope: str | None = None
) -> Tensor:
    """Return the weighted mean of losses over the elements of non-zero weight.

    The sum of weight · loss is divided by the *number* of losses whose weight is not
    0, which is TF-Slim's rule; where there is none, the result is 0.

    Parameters
    ----------
    losses : Tensor
        [B, d1, …, dN]
    weights : float or Tensor
        A scalar, or [B, d1, …, dK] with K ≤ N; further axes share a weight.
    scope : str, optional
        ``weighted_loss`` by default.

    Returns
    -------
    Tensor
        A scalar, added to the losses of the function.
    """
    with name_scope(scope or "weighted_loss"):
        total = _weighted_mean(losses, weights)
    add_loss(total)
    return total


def _weighted_mean(losses: Tensor, weights) -> Tensor:
    weights = check_weights(losses, weights)
    if not isinstance(weights, Tensor) or weights.rank == 0:
        mean = ops.reduce_mean(losses)
        return mean if weights is None else ops.mul(mean, weights)
    axes = list(range(weights.rank, losses.rank))
    sums = ops.reduce_sum(losses, axes) if axes else losses
    total = ops.reduce_sum(ops.mul(sums, weights))
    count = _sum_of_present(weights)
    rest = product(losses.shape[weights.rank :])
    if rest != 1:
        count = ops.mul(count, ops.extent(rest, losses.dtype))
    return _divide(total, count)


def _sum_of_present(weights: Tensor, axes=None) -> Tensor:
    return ops.reduce_sum(ops.cast(ops.not_equal(weights, 0.0), weights.dtype), axes)


def _divide(total: Tensor, count: Tensor) -> Tensor:
    """total / count, a number of elements; 0 where that is 0."""
    some = ops.greater(count, 0.0)
    return ops.select(some, ops.div(total, ops.maximum(count, 1.0)), 0.0)


def check_weights(losses: Tensor, weights) -> Tensor | float | None:
    """Return weights that lead the losses' shape, or a scalar; None for 1."""
    if isinstance(weights, Real):
        return None if weights == 1 else float(weights)
    if not isinstance(weights, Tensor):
        raise ValueError(f"weights must be a number or a tensor, got {weights!r}")
    weights = per_example.as_float(weights, losses)
    if weights.shape == (1,):
        weights = ops.reshape(weights, ())
    if weights.rank > 1 and weights.shape[-1] == 1 and weights.shape != losses.shape:
        weights = ops.reshape(weights, weights.shape[:-1])
    if weights.shape != losses.shape[: weights.rank]:
        raise ValueError(
            f"weights {type_text(*weights.type)} do not fit losses "
            f"{type_text(*losses.type)}: they must be a scalar or have the leading "
            "dimensions of the losses"
        )
    return weights
