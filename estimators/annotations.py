"""What the constructors' parameters may be, for type checkers and editors.

The sets that `fit` checks stand in `validation`; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from slimlearn.backend.optimizer import Optimizer, OptimizerName
from slimlearn.backend.schedule import Schedule, ScheduleName
from slimlearn.estimators.callbacks import Callback
from slimlearn.estimators.losses import ClassifierLoss, RegressorLoss
from slimlearn.layers.annotations import Activation, ActivationName

__all__ = [
    "Activation",
    "ActivationName",
    "AnyOptimizer",
    "AnyRate",
    "AnySchedule",
    "Callbacks",
    "CategoricalFeatures",
    "ClassWeight",
    "ClassifierLossName",
    "ClassifierLosses",
    "OneOptimizer",
    "OneRate",
    "OptimizerName",
    "Precision",
    "Quantiles",
    "RandomState",
    "RegressorLossName",
    "RegressorLosses",
    "ScheduleName",
    "Scoring",
    "TabularLossName",
    "Units",
]

# No Sequence[str], which a single word is one of.
CategoricalFeatures: TypeAlias = (
    Literal["from_dtype"] | list[str] | tuple[str, ...] | Sequence[int] | np.ndarray
    | None
)  # fmt: skip
Units: TypeAlias = int | Sequence[int] | np.ndarray
ClassifierLossName: TypeAlias = Literal[
    "log_loss", "hinge", "focal", "ordinal",
]  # fmt: skip
ClassifierLosses: TypeAlias = ClassifierLossName | ClassifierLoss | Callable[..., Any]
RegressorLossName: TypeAlias = Literal[
    "squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma",
    "tweedie", "gaussian", "gaussian_mixture",
]  # fmt: skip
TabularLossName: TypeAlias = Literal[
    "squared_error", "absolute_error", "huber", "poisson", "gamma", "tweedie",
    "quantile",
]  # fmt: skip
RegressorLosses: TypeAlias = RegressorLossName | RegressorLoss | Callable[..., Any]
OneOptimizer: TypeAlias = OptimizerName | Optimizer
AnyOptimizer: TypeAlias = OneOptimizer | Mapping[str, OneOptimizer]
OneRate: TypeAlias = Literal["auto"] | float
AnyRate: TypeAlias = OneRate | Mapping[str, OneRate]
AnySchedule: TypeAlias = ScheduleName | Schedule
Precision: TypeAlias = Literal["auto", "float32", "float64", "bfloat16", "float16"]
Quantiles: TypeAlias = float | Sequence[float] | np.ndarray | None
ClassWeight: TypeAlias = Literal["balanced"] | Mapping | Sequence | None
Callbacks: TypeAlias = Sequence[Callback | tuple[str, Callback | None]] | None
Scoring: TypeAlias = str | Callable[..., float]
RandomState: TypeAlias = int | np.random.RandomState | None
