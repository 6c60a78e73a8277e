"""What the constructors' parameters may be, for type checkers and editors.

The sets that `fit` checks stand in `validation`; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from slimlearn.backend.graph import Tensor
from slimlearn.backend.optimizer import Optimizer
from slimlearn.backend.schedule import Schedule
from slimlearn.estimators.callbacks import Callback
from slimlearn.estimators.losses import ClassifierLoss, RegressorLoss

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
    "Units",
]

CategoricalFeatures: TypeAlias = (
    Literal["from_dtype"] | Sequence[str] | Sequence[int] | Sequence[bool] | np.ndarray
    | None
)  # fmt: skip
Units: TypeAlias = int | Sequence[int] | np.ndarray
ActivationName: TypeAlias = Literal[
    "elu", "gelu", "hard_sigmoid", "hard_swish", "hard_tanh", "leaky_relu", "linear",
    "mish", "relu", "relu6", "selu", "sigmoid", "silu", "softplus", "softsign", "swish",
    "tanh",
]  # fmt: skip
Activation: TypeAlias = ActivationName | Callable[[Tensor], Tensor]
ClassifierLossName: TypeAlias = Literal[
    "log_loss", "hinge", "focal", "ordinal",
]  # fmt: skip
ClassifierLosses: TypeAlias = ClassifierLossName | ClassifierLoss | Callable[..., Any]
RegressorLossName: TypeAlias = Literal[
    "squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma",
    "tweedie", "gaussian", "gaussian_mixture",
]  # fmt: skip
RegressorLosses: TypeAlias = RegressorLossName | RegressorLoss | Callable[..., Any]
OptimizerName: TypeAlias = Literal[
    "sgd", "adam", "adamw", "nadam", "lazy_adam", "rmsprop", "adagrad", "adadelta",
    "ftrl", "lbfgs",
]  # fmt: skip
OneOptimizer: TypeAlias = OptimizerName | Optimizer
AnyOptimizer: TypeAlias = OneOptimizer | Mapping[str, OneOptimizer]
OneRate: TypeAlias = Literal["auto"] | float
AnyRate: TypeAlias = OneRate | Mapping[str, OneRate]
ScheduleName: TypeAlias = Literal[
    "constant", "step", "exponential", "cosine", "flat_cosine", "warm_restarts",
    "one_cycle", "inverse_scaling", "plateau",
]  # fmt: skip
AnySchedule: TypeAlias = ScheduleName | Schedule
Precision: TypeAlias = Literal["auto", "float32", "float64", "bfloat16", "float16"]
Quantiles: TypeAlias = float | Sequence[float] | np.ndarray | None
ClassWeight: TypeAlias = Literal["balanced"] | Mapping | Sequence | None
Callbacks: TypeAlias = Sequence[Callback | tuple[str, Callback | None]] | None
Scoring: TypeAlias = str | Callable[..., float]
RandomState: TypeAlias = int | np.random.RandomState | None
