"""Optimizers by name, as estimators take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from slimlearn.backend.optimizer.adam import Adam, AdamW, LazyAdam, Nadam
from slimlearn.backend.optimizer.base import Optimizer
from slimlearn.backend.optimizer.dealt import Dealt
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
OptimizerName: TypeAlias = Literal[
    "sgd", "adam", "adamw", "nadam", "lazy_adam", "rmsprop", "adagrad", "adadelta",
    "ftrl", "lbfgs",
]  # fmt: skip


def make_optimizer(optimizer: OptimizerName | Optimizer | Mapping) -> Optimizer:
    """The optimizer that a name or a parameter object stands for, checked.

    A mapping has these by patterns of parameters' names.

    Raises
    ------
    ValueError
        If the name is unknown or a parameter is out of its range.
    """
    if isinstance(optimizer, Mapping):
        return _dealt(optimizer)
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZERS:
            raise ValueError(
                f"optimizer={optimizer!r} is not known: give one of "
                f"{', '.join(map(repr, OPTIMIZERS))} or an optimizer object."
            )
        return OPTIMIZERS[optimizer]()
    optimizer.check()
    return optimizer


def _dealt(optimizers: Mapping) -> Dealt:
    if not optimizers:
        raise ValueError("optimizer={} has no optimizer: give some by names of layers")
    found = {}
    for pattern, one in optimizers.items():
        if not isinstance(pattern, str) or not isinstance(one, (str, Optimizer)):
            raise TypeError(
                "optimizer is a dict from names of layers, with wildcards, to "
                "optimizers, as in {'*': 'adam', 'linear*': Ftrl()}; got "
                f"{pattern!r}: {one!r}"
            )
        found[pattern] = make_optimizer(one)
    dealt = Dealt(found)
    dealt.check()
    return dealt
