"""The formulas of the losses: one number per element or per example, no weights.

`slimlearn.layers.losses` reduces them by TF-Slim's rule; the estimators' heads take
them as they are, [B], and weight the rows themselves. The regression formulas and the
binary ones work element by element, so [B, k] gives one loss per output.
"""

import math

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor

__all__ = [
    "absolute_error",
    "cosine_distance",
    "focal",
    "gamma",
    "hinge",
    "huber",
    "log_cosh",
    "log_loss",
    "multiclass_focal",
    "multiclass_hinge",
    "poisson",
    "quantile",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "sparse_softmax_cross_entropy",
    "squared_error",
    "squared_hinge",
    "tweedie",
]


def __dir__() -> list[str]:
    return __all__


def squared_error(predictions: Tensor, labels: Tensor) -> Tensor:
    """(p - y)², element by element.

    Parameters
    ----------
    predictions, labels : Tensor
        Of one shape.

    Returns
    -------
    Tensor
        A loss an element.
    """
    return ops.square(ops.sub(predictions, labels))


def absolute_error(predictions: Tensor, labels: Tensor) -> Tensor:
    """``|p - y|``, element by element.

    Parameters
    ----------
    predictions, labels : Tensor
        Of one shape.

    Returns
    -------
    Tensor
        A loss an element.
    """
    return ops.abs(ops.sub(predictions, labels))


def huber(predictions: Tensor, labels: Tensor, delta: float | Tensor = 1.0) -> Tensor:
    """½ e² where ``|e| ≤ delta``, else ``delta · |e| - ½ delta²`` (Huber, 1964).

    Parameters
    ----------
    predictions, labels : Tensor
        Of one shape.
    delta : float or Tensor, default=1.0
        Where the square ends.

    Returns
    -------
    Tensor
        A loss an element.
    """
    size = absolute_error(predictions, labels)
    inner = ops.minimum(size, delta)
    return ops.mul(inner, ops.sub(size, ops.mul(inner, 0.5)))


def log_cosh(predictions: Tensor, labels: Tensor) -> Tensor:
    """log(cosh(p - y)), element by element; finite for any error.

    Parameters
    ----------
    predictions, labels : Tensor
        Of one shape.

    Returns
    -------
    Tensor
        A loss an element.
    """
    size = absolute_error(predictions, labels)
    return ops.add(size, ops.softplus(size * -2.0)) - math.log(2.0)


def quantile(predictions: Tensor, labels: Tensor, quantile: float | Tensor) -> Tensor:
    """The pinball loss max(q · (y - p), (1 - q) · (p - y)) (Koenker, 1978).

    `quantile` may be a scalar, or a tensor that broadcasts to the predictions.

    Parameters
    ----------
    predictions, labels : Tensor
        Of one shape.
    quantile : float or Tensor
        Above 0 and below 1.

    Returns
    -------
    Tensor
        A loss an element.
    """
    residual = ops.sub(predictions, labels)
    below = ops.mul(residual, 1.0 - quantile)
    return ops.maximum(below, ops.neg(ops.mul(residual, quantile)))


def poisson(logarithms: Tensor, labels: Tensor) -> Tensor:
    """exp(z) - y · z, for z the logarithm of the predicted mean, y ≥ 0.

    Parameters
    ----------
    logarithms, labels : Tensor
        Of one shape.

    Returns
    -------
    Tensor
        A loss an element.
    """
    return ops.sub(ops.exp(logarithms), ops.mul(labels, logarithms))


def gamma(logarithms: Tensor, labels: Tensor) -> Tensor:
    """z + y · exp(-z), for z the logarithm of the predicted mean, y > 0.

    Parameters
    ----------
    logarithms, labels : Tensor
        Of one shape.

    Returns
    -------
    Tensor
        A loss an element.
    """
    return ops.add(logarithms, ops.mul(labels, ops.exp(ops.neg(logarithms))))


def tweedie(logarithms: Tensor, labels: Tensor, power: float | Tensor) -> Tensor:
    """y · exp((1 - p) z) / (p - 1) + exp((2 - p) z) / (2 - p), for a power p > 1 but 2.

    z is the logarithm of the predicted mean. Half the Tweedie deviance, but for what
    depends on y alone.

    Parameters
    ----------
    logarithms, labels : Tensor
        Of one shape.
    power : float or Tensor
        Above 1, and not 2.

    Returns
    -------
    Tensor
        A loss an element.
    """
    below, above = power - 1.0, 2.0 - power
    first = ops.div(ops.exp(ops.neg(ops.mul(logarithms, below))), below)
    second = ops.div(ops.exp(ops.mul(logarithms, above)), above)
    return ops.add(ops.mul(labels, first), second)


def sigmoid_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-y · log σ(z) - (1 - y) · log(1 - σ(z)), element by element; y from 0 to 1.

    Parameters
    ----------
    logits, labels : Tensor
        Of one shape.

    Returns
    -------
    Tensor
        A loss an element.
    """
    return ops.sigmoid_cross_entropy(logits, as_float(labels, logits))


def softmax_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-Σ y · log softmax(z) over the last axis; `labels` hold probabilities.

    Parameters
    ----------
    logits, labels : Tensor of shape [..., k]

    Returns
    -------
    Tensor of shape [...]
        A loss an example.
    """
    return ops.softmax_cross_entropy(logits, as_float(labels, logits))


def sparse_softmax_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-log softmax(z)[y] over the last axis; `labels` hold class numbers.

    Parameters
    ----------
    logits : Tensor of shape [..., k]
    labels : Tensor of i32, of shape [...]
        From 0 to k - 1.

    Returns
    -------
    Tensor of shape [...]
        A loss an example.
    """
    return ops.sparse_softmax_cross_entropy(logits, labels)


def hinge(logits: Tensor, labels: Tensor) -> Tensor:
    """max(0, 1 - (2y - 1) · z), element by element; y is 0 or 1.

    Parameters
    ----------
    logits, labels : Tensor
        Of one shape.

    Returns
    -------
    Tensor
        A loss an element.
    """
    return ops.relu(ops.sub(1.0, _margin(logits, labels)))


def squared_hinge(logits: Tensor, labels: Tensor) -> Tensor:
    """max(0, 1 - (2y - 1) · z)², element by element; y is 0 or 1.

    Parameters
    ----------
    logits, labels : Tensor
        Of one shape.

    Returns
    -------
    Tensor
        A loss an element.
    """
    return ops.square(hinge(logits, labels))


def multiclass_hinge(logits: Tensor, labels: Tensor) -> Tensor:
    """max(0, 1 + the best wrong logit - the right one), [B, k] and class numbers [B].

    Parameters
    ----------
    logits : Tensor of shape [B, k]
    labels : Tensor of whole numbers, of shape [B]
        From 0 to k - 1.

    Returns
    -------
    Tensor of shape [B]
        A loss an example.

    References
    ----------
    Crammer and Singer, "On the algorithmic implementation of multiclass kernel-based
    vector machines", 2001.
    """
    own = ops.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    right = ops.reduce_sum(ops.mul(logits, own), [-1])
    # The right class, with no margin added, keeps the maximum from falling below it.
    best = ops.reduce_max(ops.add(logits, ops.sub(1.0, own)), [-1])
    return ops.sub(best, right)


def focal(logits: Tensor, labels: Tensor, gamma: float | Tensor) -> Tensor:
    """-(1 - p) ** γ · log p for p = σ(±z) of the right label, element by element.

    Parameters
    ----------
    logits, labels : Tensor
        Of one shape.
    gamma : float or Tensor
        At least 0; how much less an element counts that is right already.

    Returns
    -------
    Tensor
        A loss an element.

    References
    ----------
    Lin et al., "Focal loss for dense object detection", 2017.
    """
    margin = _margin(logits, labels)
    wrong = ops.exp(ops.neg(ops.mul(ops.softplus(margin), gamma)))
    return ops.mul(wrong, ops.softplus(ops.neg(margin)))


def multiclass_focal(logits: Tensor, labels: Tensor, gamma: float | Tensor) -> Tensor:
    """-(1 - p) ** γ · log p for p = softmax(z)[y], [B, k] and class numbers [B].

    Parameters
    ----------
    logits : Tensor of shape [B, k]
    labels : Tensor of whole numbers, of shape [B]
        From 0 to k - 1.
    gamma : float or Tensor
        At least 0; how much less an example counts that is right already.

    Returns
    -------
    Tensor of shape [B]
        A loss an example.
    """
    # The other classes' share of the probability, without subtracting from 1.
    hidden = ops.one_hot(labels, logits.shape[-1], -1e9, 0.0, logits.dtype)
    others = ops.logsumexp(ops.add(logits, hidden), [-1])
    wrong = ops.sub(others, ops.logsumexp(logits, [-1]))
    return ops.mul(
        ops.exp(ops.mul(wrong, gamma)),
        ops.sparse_softmax_cross_entropy(logits, labels),
    )


def log_loss(predictions: Tensor, labels: Tensor, epsilon: float = 1e-7) -> Tensor:
    """-y · log(p + ε) - (1 - y) · log(1 - p + ε), for probabilities p.

    Where there are logits, `sigmoid_cross_entropy` is exact and needs no epsilon.

    Parameters
    ----------
    predictions, labels : Tensor
        Of one shape.
    epsilon : float, default=1e-7

    Returns
    -------
    Tensor
        A loss an element.
    """
    yes = ops.mul(labels, ops.log(predictions + epsilon))
    no = ops.mul(ops.sub(1.0, labels), ops.log(ops.sub(1.0 + epsilon, predictions)))
    return ops.neg(ops.add(yes, no))


def cosine_distance(predictions: Tensor, labels: Tensor, axis: int) -> Tensor:
    """1 - Σ p · y along `axis`, for vectors of length 1.

    Parameters
    ----------
    predictions, labels : Tensor
        Of one shape.
    axis : int

    Returns
    -------
    Tensor
        A loss a vector.
    """
    return ops.sub(1.0, ops.reduce_sum(ops.mul(predictions, labels), [axis]))


def smooth(labels: Tensor, label_smoothing: float, classes: int) -> Tensor:
    """Labels moved towards 1 / `classes` by the share `label_smoothing`.

    Parameters
    ----------
    labels : Tensor
    label_smoothing : float
        From 0 to 1.
    classes : int

    Returns
    -------
    Tensor
        As `labels`.
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(
            f"label_smoothing must be from 0 to 1, got {label_smoothing!r}"
        )
    if label_smoothing == 0:
        return labels
    return labels * (1.0 - label_smoothing) + label_smoothing / classes


def as_float(labels: Tensor, like: Tensor) -> Tensor:
    """`labels` in the type of `like`.

    Parameters
    ----------
    labels : Tensor
    like : Tensor

    Returns
    -------
    Tensor
        `labels` itself if it has the type.
    """
    return labels if labels.dtype == like.dtype else ops.cast(labels, like.dtype)


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    side = ops.sub(ops.mul(as_float(labels, logits), 2.0), 1.0)
    return ops.mul(side, logits)
