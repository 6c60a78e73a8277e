"""Losses as parameter objects: what a head trains on, by name, object or function."""

from __future__ import annotations

import copy
from collections.abc import Callable

from slimlearn.estimators.losses.base import Loss, OwnLoss
from slimlearn.estimators.losses.classes import (
    ClassifierLoss,
    Focal,
    Hinge,
    LogLoss,
    Ordinal,
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

__all__ = [
    "CLASSIFIER_LOSSES",
    "REGRESSOR_LOSSES",
    "ClassifierLoss",
    "Focal",
    "Hinge",
    "Huber",
    "Loss",
    "Ordinal",
    "OwnLoss",
    "RegressorLoss",
    "Tweedie",
    "make_loss",
]


def _named(*losses: type) -> dict[str, type]:
    return {loss.name: loss for loss in losses}


CLASSIFIER_LOSSES = _named(LogLoss, Hinge, Focal, Ordinal)
REGRESSOR_LOSSES = _named(
    SquaredError, AbsoluteError, Huber, Quantile, Poisson, Gamma, Tweedie
)


def make_loss(loss: str | Loss | Callable) -> Loss:
    """The loss that a name, a parameter object or a function stands for, checked.

    An object is copied, so that setting its parameters later changes no fit.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """
    if isinstance(loss, str):
        return (CLASSIFIER_LOSSES | REGRESSOR_LOSSES)[loss]()
    if isinstance(loss, Loss):
        loss.check()
        return copy.copy(loss)
    if isinstance(loss, type) and issubclass(loss, Loss):
        raise ValueError(f"loss={loss.__name__} is a class: pass {loss.__name__}()")
    return OwnLoss(loss)
