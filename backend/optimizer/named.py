"""Optimizers by name, as estimators take them."""

from __future__ import annotations

from slimlearn.backend.optimizer.adam import Adam, AdamW, LazyAdam, Nadam
from slimlearn.backend.optimizer.base import Optimizer
from slimlearn.backend.optimizer.ftrl import Ftrl
from slimlearn.backend.optimizer.lbfgs import LBFGS
from slimlearn.backend.optimizer.scaled import Adadelta, Adagrad, RMSProp
from slimlearn.backend.optimizer.sgd import SGD

OPTIMIZERS = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "nadam": Nadam,
    "lazy_adam": LazyAdam,
    "rmsprop": RMSProp,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "ftrl": Ftrl,
    "lbfgs": LBFGS,
}


def make_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """The optimizer that a name or a parameter object stands for, checked.

    Raises
    ------
    ValueError
        If the name is unknown or a parameter is out of its range.
    """
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZERS:
            raise ValueError(
                f"optimizer={optimizer!r} is not known: give one of "
                f"{', '.join(map(repr, OPTIMIZERS))} or an optimizer object."
            )
        return OPTIMIZERS[optimizer]()
    optimizer.check()
    return optimizer
