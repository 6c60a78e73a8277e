"""Losses of a network function, after TF-Slim's.

Each reduces a formula of `per_example` to a scalar and adds it to the list of losses of
the function being built. What a network function adds here joins the objective of the
estimator that trains it.
"""

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, name_scope, type_text
from slimlearn.backend.shape import product
from slimlearn.layers import per_example
from slimlearn.layers.registry import (
    add_loss,
    check_weights,
    compute_weighted_loss,
    get_graph_penalties,
    get_losses,
    get_regularization_losses,
    get_total_loss,
)

__all__ = [
    "absolute_difference",
    "add_loss",
    "compute_weighted_loss",
    "cosine_distance",
    "get_graph_penalties",
    "get_losses",
    "get_regularization_losses",
    "get_total_loss",
    "hinge_loss",
    "huber_loss",
    "log_loss",
    "mean_pairwise_squared_error",
    "mean_squared_error",
    "per_example",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "sparse_softmax_cross_entropy",
]


def __dir__() -> list[str]:
    return __all__


def _pair(word: str, predictions: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return predictions and labels of one type and shape, or refuse them."""
    if not isinstance(predictions, Tensor) or not isinstance(labels, Tensor):
        raise TypeError(f"{word}: predictions and labels must be tensors")
    if predictions.shape != labels.shape:
        raise ValueError(
            f"{word}: predictions and labels differ in shape: "
            f"{type_text(*predictions.type)} and {type_text(*labels.type)}"
        )
    return predictions, per_example.as_float(labels, predictions)


def absolute_difference(
    predictions: Tensor,
    labels: Tensor,
    weights: float | Tensor = 1.0,
    scope: str | None = None,
) -> Tensor:
    """Add the mean of ``|p - y|``; see `compute_weighted_loss` for the weights.

    Parameters
    ----------
    predictions, labels : Tensor
        Of one shape.
    weights : float or Tensor, default=1.0
        See `compute_weighted_loss`.
    scope : str, optional
        Name of the ops.

    Returns
    -------
    Tensor
        A scalar, added to the losses of the function.
    """
    with name_scope(scope or "absolute_difference"):
        losses = per_example.absolute_error(
            *_pair("absolute_difference", predictions, labels)
        )
        return compute_weighted_loss(losses, weights)


def mean_squared_error(
    predictions: Tensor,
    labels: Tensor,
    weights: float | Tensor = 1.0,
    scope: str | None = None,
) -> Tensor:
    """Add the mean of (p - y)²; see `compute_weighted_loss` for the weights.

    Parameters
    ----------
    predictions, labels : Tensor
        Of one shape.
    weights : float or Tensor, default=1.0
        See `compute_weighted_loss`.
    scope : str, optional
        Name of the ops.

    Returns
    -------
    Tensor
        A scalar, added to the losses of the function.
    """
    with name_scope(scope or "mean_squared_error"):
        losses = per_example.squared_error(
            *_pair("mean_squared_error", predictions, labels)
        )
        return compute_weighted_loss(losses, weights)


def huber_loss(
    predictions: Tensor,
    labels: Tensor,
    weights: float | Tensor = 1.0,
    delta: float = 1.0,
    scope: str | None = None,
) -> Tensor:
    """Add the mean of Huber's loss, quadratic within `delta` and linear beyond.

    Parameters
    ----------
    predictions, labels : Tensor
        Of one shape.
    weights : float or Tensor, default=1.0
        See `compute_weighted_loss`.
    delta : float, default=1.0
        Where the square ends.
    scope : str, optional
        Name of the ops.

    Returns
    -------
    Tensor
        A scalar, added to the losses of the function.
    """
    with name_scope(scope or "huber_loss"):
        pair = _pair("huber_loss", predictions, labels)
        return compute_weighted_loss(per_example.huber(*pair, delta), weights)


def log_loss(
    predictions: Tensor,
    labels: Tensor,
    weights: float | Tensor = 1.0,
    epsilon: float = 1e-7,
    scope: str | None = None,
) -> Tensor:
    """Add the mean log loss of probabilities; `epsilon` keeps the logarithm finite.

    Parameters
    ----------
    predictions, labels : Tensor
        Of one shape.
    weights : float or Tensor, default=1.0
        See `compute_weighted_loss`.
    epsilon : float, default=1e-7
    scope : str, optional
        Name of the ops.

    Returns
    -------
    Tensor
        A scalar, added to the losses of the function.
    """
    with name_scope(scope or "log_loss"):
        pair = _pair("log_loss", predictions, labels)
        return compute_weighted_loss(per_example.log_loss(*pair, epsilon), weights)


def hinge_loss(logits: Tensor, labels: Tensor, scope: str | None = None) -> Tensor:
    """Return max(0, 1 - (2y - 1) · z) of each element; it is added to no list.

    Parameters
    ----------
    logits, labels : Tensor
        Of one shape.
    scope : str, optional
        Name of the ops.

    Returns
    -------
    Tensor
        A loss an element.
    """
    with name_scope(scope or "hinge_loss"):
        return per_example.hinge(*_pair("hinge_loss", logits, labels))


def sigmoid_cross_entropy(
    logits: Tensor,
    multi_class_labels: Tensor,
    weights: float | Tensor = 1.0,
    label_smoothing: float = 0,
    scope: str | None = None,
) -> Tensor:
    """Add the mean cross-entropy of independent yes-or-no labels.

    Parameters
    ----------
    logits : Tensor
        [B, k]
    multi_class_labels : Tensor
        [B, k], from 0 to 1.
    weights : float or Tensor
        See `compute_weighted_loss`.
    label_smoothing : float, default=0
        The share by which labels move towards ½.
    scope : str, optional
    """
    with name_scope(scope or "sigmoid_cross_entropy_loss"):
        logits, labels = _pair("sigmoid_cross_entropy", logits, multi_class_labels)
        labels = per_example.smooth(labels, label_smoothing, 2)
        losses = per_example.sigmoid_cross_entropy(logits, labels)
        return compute_weighted_loss(losses, weights)


def softmax_cross_entropy(
    logits: Tensor,
    onehot_labels: Tensor,
    weights: float | Tensor = 1.0,
    label_smoothing: float = 0,
    scope: str | None = None,
) -> Tensor:
    """Add the mean cross-entropy of one-hot labels.

    Parameters
    ----------
    logits, onehot_labels : Tensor
        [B, k]
    weights : float or Tensor
        A scalar or [B]; see `compute_weighted_loss`.
    label_smoothing : float, default=0
        The share by which labels move towards 1 / k.
    scope : str, optional
    """
    with name_scope(scope or "softmax_cross_entropy_loss"):
        logits, labels = _pair("softmax_cross_entropy", logits, onehot_labels)
        labels = per_example.smooth(labels, label_smoothing, logits.shape[-1])
        losses = per_example.softmax_cross_entropy(logits, labels)
        return compute_weighted_loss(losses, weights)


def sparse_softmax_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    weights: float | Tensor = 1.0,
    scope: str | None = None,
) -> Tensor:
    """Add the mean cross-entropy of class numbers.

    Parameters
    ----------
    logits : Tensor
        [B, k]
    labels : Tensor
        [B] or [B, 1], whole numbers from 0 to k - 1.
    weights : float or Tensor
        A scalar or [B]; see `compute_weighted_loss`.
    scope : str, optional
    """
    with name_scope(scope or "sparse_softmax_cross_entropy_loss"):
        if labels.rank == logits.rank and labels.shape[-1] == 1:
            labels = ops.reshape(labels, labels.shape[:-1])
        if labels.dtype == "i64":
            labels = ops.cast(labels, "i32")
        losses = per_example.sparse_softmax_cross_entropy(logits, labels)
        return compute_weighted_loss(losses, weights)


def cosine_distance(
    predictions: Tensor,
    labels: Tensor,
    axis: int | None = None,
    weights: float | Tensor = 1.0,
    scope: str | None = None,
    dim: int | None = None,
) -> Tensor:
    """Add the mean of 1 - Σ p · y along an axis, for vectors of length 1.

    Parameters
    ----------
    predictions, labels : Tensor
    axis : int
        The axis of the vectors.
    weights : float or Tensor
        See `compute_weighted_loss`.
    scope : str, optional
    dim : int, optional
        The former name of `axis`.
    """
    axis = dim if axis is None else axis
    if axis is None:
        raise ValueError("cosine_distance: give the axis of the vectors")
    with name_scope(scope or "cosine_distance_loss"):
        pair = _pair("cosine_distance", predictions, labels)
        return compute_weighted_loss(per_example.cosine_distance(*pair, axis), weights)


def mean_pairwise_squared_error(
    predictions: Tensor,
    labels: Tensor,
    weights: float | Tensor = 1.0,
    scope: str | None = None,
) -> Tensor:
    """Add the squared error between differences of pairs within each example.

    With e = p - y and n elements an example, an example costs
    2 · Σ e² / n - 2 · (Σ e)² / n²; the batch costs the weighted sum of its examples.

    Parameters
    ----------
    predictions, labels : Tensor
        [B, d1, …, dN]
    weights : float or Tensor
        A scalar or [B].
    scope : str, optional
    """
    with name_scope(scope or "mean_pairwise_squared_error"):
        predictions, labels = _pair("mean_pairwise_squared_error", predictions, labels)
        error = ops.sub(predictions, labels)
        axes = list(range(1, error.rank))
        n = ops.extent(product(error.shape[1:]), error.dtype)
        squares = ops.reduce_sum(ops.square(error), axes)
        square = ops.square(ops.reduce_sum(error, axes) / n)
        losses = ops.mul(ops.sub(squares / n, square), 2.0)
        weights = check_weights(losses, weights)
        total = ops.reduce_sum(losses if weights is None else losses * weights)
    add_loss(total)
    return total
