"""Losses as parameter objects: what a head trains on, by name, object or function."""

from __future__ import annotations

import copy
from collections.abc import Callable

from slimlearn.estimators.losses.base import Loss
from slimlearn.estimators.losses.classes import (
    ClassifierLoss,
    Focal,
    Hinge,
    LogLoss,
    Ordinal,
)
from slimlearn.estimators.losses.distributions import (
    Distribution,
    Gaussian,
    GaussianMixture,
)
from slimlearn.estimators.losses.numbers import (
    AbsoluteError,
    Gamma,
    Huber,
    Poisson,
    Quantile,
    RegressorLoss,
    SquaredError,
    Tweedie,
)
from slimlearn.estimators.losses.own import LossFunction, OwnLoss, loss

__all__ = [
    "CLASSIFIER_LOSSES",
    "REGRESSOR_LOSSES",
    "ClassifierLoss",
    "Distribution",
    "Focal",
    "Gaussian",
    "GaussianMixture",
    "Hinge",
    "Huber",
    "LogLoss",
    "Loss",
    "LossFunction",
    "Ordinal",
    "OwnLoss",
    "RegressorLoss",
    "Tweedie",
    "loss",
    "make_loss",
]


def _named(*losses: type) -> dict[str, type]:
    return {loss.name: loss for loss in losses}


CLASSIFIER_LOSSES = _named(LogLoss, Hinge, Focal, Ordinal)
REGRESSOR_LOSSES = _named(
    *(SquaredError, AbsoluteError, Huber, Quantile, Poisson, Gamma, Tweedie),
    *(Gaussian, GaussianMixture),
)
_LOSSES = CLASSIFIER_LOSSES | REGRESSOR_LOSSES


def make_loss(loss: str | Loss | Callable) -> Loss:
    """The loss that a name, a parameter object or a function stands for, checked.

    An object is copied, so that setting its parameters later changes no fit.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """
    if isinstance(loss, str):
        return _LOSSES[loss]()
    if isinstance(loss, Loss):
        loss.check()
        return copy.copy(loss)
    if isinstance(loss, type):
        if not issubclass(loss, LossFunction):
            raise ValueError(f"loss={loss.__name__} is a class: pass {loss.__name__}()")
        loss = loss()
    return OwnLoss(copy.copy(loss) if isinstance(loss, LossFunction) else loss)
