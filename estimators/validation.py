"""The door: constructor parameters as data, and what comes into fit and predict."""

from __future__ import annotations

import inspect
import threading
from numbers import Integral, Real

import numpy as np
from sklearn.utils.validation import check_array, check_consistent_length

from slimlearn.backend.graph.rounding import COMPUTE_TYPES
from slimlearn.backend.optimizer import OPTIMIZERS, Optimizer
from slimlearn.backend.schedule import SCHEDULES, Constant, Schedule
from slimlearn.estimators import elsewhere
from slimlearn.estimators.arrays import to_numpy
from slimlearn.estimators.callbacks.base import are_callbacks
from slimlearn.estimators.compat import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    make_constraint,
    validate_parameter_constraints,
)
from slimlearn.estimators.losses import (
    CLASSIFIER_LOSSES,
    REGRESSOR_LOSSES,
    ClassifierLoss,
    RegressorLoss,
)
from slimlearn.estimators.missing import present_target
from slimlearn.estimators.sealing import check_present

__all__ = [
    "ACTIVATIONS",
    "CLASSIFIER_LOSS",
    "CLASS_WEIGHT",
    "ONE_OPTIMIZER",
    "ONE_RATE",
    "QUANTILE",
    "REGRESSOR_LOSS",
    "TAIL",
    "check_parameters",
    "check_units",
    "check_weights",
    "label_order",
]

ACTIVATIONS = (
    "relu",
    "tanh",
    "sigmoid",
    "linear",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "mish",
    "relu6",
    "selu",
    "silu",
    "softplus",
    "softsign",
    "swish",
)


# scikit-learn knows no kind of constraint for lists; this one is checked alike.
class _Callbacks(HasMethods):
    def __init__(self):
        super().__init__(["__iter__"])

    def is_satisfied_by(self, val) -> bool:
        return are_callbacks(val)

    def __str__(self) -> str:
        return "a list of callbacks or of (name, callback), with different names"


class _Scoring(HasMethods):
    def __init__(self):
        super().__init__(["__call__"])

    def is_satisfied_by(self, val) -> bool:
        return val in self.options if isinstance(val, str) else callable(val)

    @property
    def options(self) -> list[str]:
        """The names, of which an error tells the nearest."""
        from sklearn.metrics import get_scorer_names

        return ["loss", *get_scorer_names()]

    def __str__(self) -> str:
        return (
            "'loss', the name of a scorer (sklearn.metrics.get_scorer_names()), or "
            "a function scorer(estimator, X, y)"
        )


class _Device(HasMethods):
    def __init__(self):
        super().__init__(["__str__"])
        self._asked = threading.local()

    def is_satisfied_by(self, val) -> bool:
        from slimlearn.backend import engine

        self._asked.name = val
        return isinstance(val, str) and (val == "auto" or engine.has(val))

    def __str__(self) -> str:
        from slimlearn.backend import engine

        there = ", ".join(map(repr, engine.devices()))
        name, absent = getattr(self._asked, "name", None), engine.absent()
        known = isinstance(name, str) and name in absent
        why = f"; not {name!r}: {absent[name]}" if known else ""
        return f"'auto', or a device that is there ({there}{why})"


ONE_OPTIMIZER = [StrOptions(set(OPTIMIZERS)), Optimizer]
ONE_RATE = [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")]

# Parameters that every estimator has.
TAIL = {
    "optimizer": [*ONE_OPTIMIZER, dict],
    "learning_rate": [*ONE_RATE, dict],
    "learning_rate_schedule": [StrOptions(set(SCHEDULES)), Schedule],
    "schedules": [None, dict],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "accumulate": [Interval(Integral, 1, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "l2_regularization": [Interval(Real, 0, None, closed="left")],
    "gradient_clip_norm": [None, Interval(Real, 0, None, closed="neither")],
    "early_stopping": ["boolean"],
    "validation_fraction": [None, Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "scoring": [_Scoring()],
    "shuffle": ["boolean"],
    "warm_start": ["boolean"],
    "callbacks": [None, _Callbacks()],
    "precision": [StrOptions({"auto", "float32", "float64", *COMPUTE_TYPES})],
    "device": [_Device()],
    "n_threads": [None, Interval(Integral, 1, None, closed="left")],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}

HIDDEN_UNITS = [tuple, list, np.ndarray, Interval(Integral, 1, None, closed="left")]
CATEGORIES = {"categorical_features": [StrOptions({"from_dtype"}), "array-like", None]}
CLASSIFIER_LOSS = {
    "loss": [StrOptions(set(CLASSIFIER_LOSSES)), ClassifierLoss, callable]
}
REGRESSOR_LOSS = {"loss": [StrOptions(set(REGRESSOR_LOSSES)), RegressorLoss, callable]}
CLASS_WEIGHT = {"class_weight": [dict, StrOptions({"balanced"}), list, None]}
QUANTILE = {
    "quantile": [None, Interval(Real, 0, 1, closed="neither"), tuple, list, np.ndarray]
}

_compiled: dict[type, list] = {}


def _constraints(kind: type) -> list[tuple]:
    """Name, constraints and a good value of each parameter: its default."""
    given = inspect.signature(kind).parameters
    found = []
    for name, rows in kind._parameter_constraints.items():
        accepted = [make_constraint(c) for c in rows]
        good = given[name].default if name in given else inspect.Parameter.empty
        if not _accepts(accepted, good):
            good = inspect.Parameter.empty
        found.append((name, accepted, good))
    return found


def _accepts(constraints: list, value) -> bool:
    return any(one.is_satisfied_by(value) for one in constraints)


def check_parameters(estimator) -> None:
    """Raise InvalidParameterError, naming the parameter, its range and its value."""
    check_present(estimator)
    kind = type(estimator)
    constraints = _compiled.get(kind)
    if constraints is None:
        constraints = _compiled[kind] = _constraints(kind)
    for name, accepted, good in constraints:
        value = getattr(estimator, name)
        if value is good:
            continue
        if not _accepts(accepted, value):
            try:
                validate_parameter_constraints(
                    kind._parameter_constraints, {name: value}, kind.__name__
                )
            except InvalidParameterError as error:
                told = elsewhere.of_value(name, value, accepted)
                if told is None:
                    raise
                raise InvalidParameterError(f"{error} {told}") from None


# What is for steps on batches, and what it is where it asks for nothing.
_OF_STEPS = {
    "accumulate": 1,
    "gradient_clip_norm": None,
    "learning_rate_schedule": "constant",
}


def check_all_at_once(estimator) -> None:
    """Refuse wishes about steps that L-BFGS, which sees all rows, cannot fulfil."""
    for name, nothing in _OF_STEPS.items():
        value = getattr(estimator, name)
        if value != nothing and value != Constant():
            raise ValueError(
                f"{type(estimator).__name__}: {name}={value!r} is for steps on "
                "batches, and L-BFGS sees all rows at once: leave it at "
                f"{nothing!r}, or choose another optimizer"
            )
    if estimator.precision in COMPUTE_TYPES:
        raise ValueError(
            f"{type(estimator).__name__}: precision={estimator.precision!r} rounds "
            "what is multiplied, and L-BFGS needs gradients that agree with the loss: "
            "set precision to 'auto', 'float32' or 'float64', or choose another "
            "optimizer"
        )


def check_units(estimator, parameter: str = "hidden_units") -> tuple[int, ...]:
    """What an estimator's parameter says of the width of each layer, checked."""
    wish = getattr(estimator, parameter)
    units = [wish] if isinstance(wish, Integral) else list(wish)
    if not all(isinstance(u, Integral) and u > 0 for u in units):
        raise ValueError(
            f"The {parameter!r} parameter of {type(estimator).__name__} must be whole "
            f"numbers > 0, one a layer. Got {wish!r} instead."
        )
    return tuple(map(int, units))


def label_order(y) -> list | None:
    """The order of labels that an ordered categorical has; None if y has none."""
    dtype = getattr(y, "dtype", None)
    ordered = getattr(dtype, "ordered", type(dtype).__name__ == "Enum")
    return list(dtype.categories) if ordered else None


def check_weights(
    sample_weight,
    X: np.ndarray,
    *,
    some: bool = True,
    absent: np.ndarray | None = None,
) -> np.ndarray | None:
    """sample_weight as float64 (n,); None where it is None and no row is absent.

    Parameters
    ----------
    sample_weight : array-like of shape (n,), number or None
    X : ndarray
        The rows.
    some : bool
        Whether one of the weights has to be above 0.
    absent : index array or None
        Rows that get weight 0.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, all are zero, or their shape is not that
        of the rows.
    """
    if sample_weight is None and absent is None:
        return None
    if sample_weight is None or isinstance(sample_weight, Real):
        sample_weight = 1.0 if sample_weight is None else sample_weight
        sample_weight = np.full(X.shape[0], sample_weight, dtype=np.float64)
    weights = check_array(
        present_target(to_numpy(sample_weight), "sample_weight", regression=True),
        ensure_2d=False,
        dtype=np.float64,
        order="C",
        input_name="sample_weight",
    )
    if weights.ndim != 1:
        raise ValueError(
            "Sample weights must be 1D array or scalar, got "
            f"{weights.ndim}D array. Expected either a scalar value or a 1D array of "
            f"length {X.shape[0]}."
        )
    check_consistent_length(X, weights)
    if len(weights) and weights.min() < 0:
        raise ValueError(
            "Negative values in data passed to `sample_weight`: weights must be >= 0"
        )
    if absent is not None:
        weights = weights.copy()
        weights[absent] = 0.0
    if some and not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights
