"""Losses as parameter objects: what a head trains on, by name, object or function."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor, current_model, type_text
from slimlearn.backend.parameters import Parameters
from slimlearn.backend.shape import B
from slimlearn.layers import per_example

__all__ = [
    "CLASSIFIER_LOSSES",
    "REGRESSOR_LOSSES",
    "ClassifierLoss",
    "Focal",
    "Huber",
    "Ordinal",
    "OwnLoss",
    "RegressorLoss",
    "Tweedie",
    "make_loss",
]


class Loss(Parameters):
    """Base: a loss with its parameters."""

    name = ""

    def hypers(self) -> dict[str, float]:
        """Run-time numbers that the formula reads."""
        return {}

    def structure(self) -> tuple | None:
        """What the formula's graph depends on; None if that cannot be known."""
        return (type(self).__name__,)


def _hyper(name: str, like: Tensor) -> Tensor:
    return ops.cast(current_model().hyper(name), like.dtype)


# -- losses of classes --------------------------------------------------------------


class ClassifierLoss(Loss):
    """Base of the losses of classes.

    Attributes
    ----------
    probabilistic : bool
        Whether the logits mean probabilities.
    """

    probabilistic = True

    def binary(self, raw: Tensor, y: Tensor) -> Tensor:
        """The loss of logits of y = 1, for y of 0 and 1, element by element."""
        raise NotImplementedError

    def multiclass(self, raw: Tensor, y: Tensor) -> Tensor:
        """The loss [B] of logits [B, k] for class numbers [B]."""
        raise NotImplementedError


class LogLoss(ClassifierLoss):
    """The cross-entropy."""

    name = "log_loss"

    def binary(self, raw, y):
        return per_example.sigmoid_cross_entropy(raw, y)

    def multiclass(self, raw, y):
        return per_example.sparse_softmax_cross_entropy(raw, y)


class Hinge(ClassifierLoss):
    """Margins."""

    name = "hinge"
    probabilistic = False

    def binary(self, raw, y):
        return per_example.hinge(raw, y)

    def multiclass(self, raw, y):
        return per_example.multiclass_hinge(raw, y)


class Focal(ClassifierLoss):
    """The cross-entropy times (1 - p) ** gamma, p the probability of the right class.

    Rows that are already right count less, so that rare and hard ones lead. The
    probabilities lie closer to 1/2 than those of the cross-entropy.

    Parameters
    ----------
    gamma : float >= 0, default=2.0
        0 is the cross-entropy.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection", 2017.
    """

    name = "focal"

    def __init__(self, gamma=2.0):
        self.gamma = gamma

    def check(self):
        self._require("gamma", "a number >= 0", lambda v: 0 <= v < math.inf)

    def hypers(self):
        return {"focal/gamma": float(self.gamma)}

    def binary(self, raw, y):
        return per_example.focal(raw, y, _hyper("focal/gamma", raw))

    def multiclass(self, raw, y):
        return per_example.multiclass_focal(raw, y, _hyper("focal/gamma", raw))


class Ordinal(LogLoss):
    """The log loss of classes in order: one number per row, and a threshold between
    each two neighbours (the proportional-odds model).

    Parameters
    ----------
    order : sequence of labels or None, default=None
        The labels from the lowest to the highest. None takes the order of an ordered
        categorical, or of numbers.

    References
    ----------
    McCullagh, "Regression models for ordinal data", 1980.
    """

    name = "ordinal"

    def __init__(self, order=None):
        self.order = order

    def check(self):
        order = self.order
        if order is None:
            return
        if isinstance(order, str) or not isinstance(order, Sequence):
            raise ValueError(
                "The 'order' parameter of Ordinal must be a list of labels from the "
                f"lowest to the highest, or None. Got {order!r} instead."
            )
        if len(set(order)) < len(order):
            raise ValueError(
                f"The 'order' parameter of Ordinal names a label twice: {order!r}"
            )

    def __hash__(self):
        return hash((type(self), repr(self.order)))


# -- losses of numbers --------------------------------------------------------------


class RegressorLoss(Loss):
    """Base of the losses of numbers.

    Attributes
    ----------
    degree : int
        A residual r in units of the deviation s costs s ** degree times as much in
        y's.
    log_link : bool
        Whether the raw values are logarithms of y's mean; then y is not scaled.
    """

    degree = 1
    log_link = False

    def elementwise(self, raw: Tensor, y: Tensor) -> Tensor:
        """The loss, element by element."""
        return getattr(per_example, self.name)(raw, y)

    def domain(self) -> str | None:
        """The y that the loss is made for, ">= 0" or "> 0"; None if it is any."""
        return None


class SquaredError(RegressorLoss):
    """(p - y)²."""

    name = "squared_error"
    degree = 2


class AbsoluteError(RegressorLoss):
    """|p - y|."""

    name = "absolute_error"


class Huber(RegressorLoss):
    """½ e² up to the error delta, linear beyond.

    Parameters
    ----------
    delta : float > 0, default=1.0
        In standard deviations of y.

    References
    ----------
    Huber, "Robust estimation of a location parameter", 1964.
    """

    name = "huber"
    degree = 2

    def __init__(self, delta=1.0):
        self.delta = delta

    def check(self):
        self._require("delta", "a number > 0", lambda v: 0 < v < math.inf)

    def hypers(self):
        return {"huber/delta": float(self.delta)}

    def elementwise(self, raw, y):
        return per_example.huber(raw, y, _hyper("huber/delta", raw))


class Quantile(RegressorLoss):
    """The pinball loss; the estimator's `quantile` says which."""

    name = "quantile"


class Poisson(RegressorLoss):
    """Half the Poisson deviance, but for what depends on y alone."""

    name = "poisson"
    log_link = True

    def domain(self):
        return ">= 0"


class Gamma(RegressorLoss):
    """Half the Gamma deviance, but for what depends on y alone."""

    name = "gamma"
    log_link = True

    def domain(self):
        return "> 0"


class Tweedie(RegressorLoss):
    """Half the Tweedie deviance, but for what depends on y alone.

    Parameters
    ----------
    power : float >= 1, default=1.5
        The variance of y grows as its mean to this power: 1 is Poisson, 2 is Gamma, 3
        inverse Gaussian. Between 1 and 2, y may be 0 with a probability of its own.

    References
    ----------
    Jørgensen, "Exponential dispersion models", 1987.
    """

    name = "tweedie"
    log_link = True

    def __init__(self, power=1.5):
        self.power = power

    def check(self):
        self._require("power", "a number >= 1", lambda v: 1 <= v < math.inf)

    def hypers(self):
        return {} if self.power in (1, 2) else {"tweedie/power": float(self.power)}

    def structure(self):
        return ("Tweedie", self.power if self.power in (1, 2) else None)

    def elementwise(self, raw, y):
        if self.power == 1:
            return per_example.poisson(raw, y)
        if self.power == 2:
            return per_example.gamma(raw, y)
        return per_example.tweedie(raw, y, _hyper("tweedie/power", raw))

    def domain(self):
        return ">= 0" if self.power < 2 else "> 0"


# -- from what a user gives ---------------------------------------------------------


class OwnLoss(Loss):
    """A user's function of graph tensors, (raw, y) -> one number per row."""

    probabilistic = True
    degree = 0
    log_link = False

    def __init__(self, function):
        self.function = function

    def structure(self):
        return None

    def domain(self):
        """Any y."""
        return None

    def __call__(self, raw: Tensor, y: Tensor) -> Tensor:
        """The function's losses, which must be [B]."""
        loss = self.function(raw, y)
        if not isinstance(loss, Tensor) or tuple(loss.shape) != (B,):
            got = type_text(*loss.type) if isinstance(loss, Tensor) else repr(loss)
            who = getattr(self.function, "__name__", repr(self.function))
            raise ValueError(
                f"loss {who} must return one number for each row, {raw.dtype}[B]; it "
                f"was given raw {type_text(*raw.type)} and y {type_text(*y.type)} and "
                f"returned {got}: reduce the other axes with ops.reduce_mean(…, [1])"
            )
        return loss if loss.dtype == raw.dtype else ops.cast(loss, raw.dtype)


def _named(*losses: type) -> dict[str, type]:
    return {loss.name: loss for loss in losses}


CLASSIFIER_LOSSES = _named(LogLoss, Hinge, Focal, Ordinal)
REGRESSOR_LOSSES = _named(
    SquaredError, AbsoluteError, Huber, Quantile, Poisson, Gamma, Tweedie
)


def make_loss(loss: str | Loss | Callable) -> Loss:
    """The loss that a name, a parameter object or a function stands for, checked.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """
    if isinstance(loss, str):
        return (CLASSIFIER_LOSSES | REGRESSOR_LOSSES)[loss]()
    if isinstance(loss, Loss):
        loss.check()
        return loss
    if isinstance(loss, type) and issubclass(loss, Loss):
        raise ValueError(f"loss={loss.__name__} is a class: pass {loss.__name__}()")
    return OwnLoss(loss)
