"""Kinds of parameter objects: losses, optimizers, schedules, callbacks, columns."""

from __future__ import annotations

from slimlearn.backend import optimizer, schedule
from slimlearn.backend.parameters import Parameters
from slimlearn.estimators import callbacks, losses
from slimlearn.estimators.features import columns, defaults
from slimlearn.estimators.losses import OwnLoss
from slimlearn.estimators.losses import classes as of_classes
from slimlearn.estimators.losses import distributions as of_distributions
from slimlearn.estimators.losses import numbers as of_numbers
from slimlearn.estimators.saving.checks import (
    anything,
    count,
    listed,
    mapped,
    number,
    optional,
    text,
)
from slimlearn.estimators.saving.kinds import Kind

__all__ = ["rows"]

# What callbacks have found beside their parameters.
_FOUND = {
    "EarlyStopping": {
        "_kept": lambda value: value is None,
        **dict.fromkeys(("_lowest", "_target", "best_"), number),
        **dict.fromkeys(("_waited", "best_epoch_"), count),
    },
    "Checkpoint": {
        "path_": text,
        "resumed_from_": count,
        "_lowest": number,
        "_written": anything,
    },
    "EpochScoring": {"_column": text, "scores_": listed(number)},
    "LayerRates": {"rates_": anything},
    "ParamFreezer": {"_from": optional(count), "frozen_": listed(text)},
    "StartFrom": {"names_": listed(text), "skipped_": mapped(text, text)},
    "CSVLog": {"path_": text},
    "HParams": {"log_dir_": text},
    "JSONLog": {"path_": text},
    "TensorBoard": {"log_dir_": text},
}
_OPEN = frozenset(("_file", "_bar", "_score", "_columns", "_stepped", "_time"))


# Of which there are no objects.
_BASES = frozenset(
    (
        *("Callback", "Categorical", "ClassifierLoss", "Distribution", "FeatureColumn"),
        *("Loss", "Optimizer", "RegressorLoss", "Schedule"),
    )
)


def make_by_parameters(cls: type, state: dict):
    """An object of the constructor, which looks at the parameters."""
    names = cls._names
    made = cls(**{name: value for name, value in state.items() if name in names})
    made.__dict__.update(state)
    made.check()
    return made


def _classes(module, base: type) -> list[type]:
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
        and value.__name__ not in _BASES
    ]


def _public(module, base: type) -> list[type]:
    found = [getattr(module, name) for name in module.__all__]
    found = [c for c in found if isinstance(c, type) and issubclass(c, base)]
    return [c for c in found if c.__name__ not in _BASES]


def _of_parameters(cls: type, **more) -> Kind:
    more = {"make": make_by_parameters, **more}
    return Kind(cls.__name__, cls, parameters=tuple(cls._names), **more)


def _make_column(cls: type, state: dict):
    return cls(**state)


def rows() -> list[Kind]:
    """The kinds of this family."""
    found = []
    for module in (of_classes, of_distributions, of_numbers):
        found += map(_of_parameters, _classes(module, losses.Loss))
    found += map(_of_parameters, _public(optimizer, optimizer.Optimizer))
    found += map(_of_parameters, _classes(schedule, schedule.Schedule))
    for cls in _public(callbacks, callbacks.Callback):
        kept = _FOUND.get(cls.__name__, {})
        own = frozenset(cls._names)
        found.append(
            _of_parameters(
                cls, fields=kept, own=own, omitted=_OPEN, make=_make_callback
            )
        )
    for cls in _classes(columns, Parameters):
        own = frozenset(("initializer",)) & set(cls._names)
        found.append(_of_parameters(cls, own=own, make=_make_column))
    found.append(
        Kind(
            "Standard",
            defaults.Standard,
            {"mean": number, "scale": number},
            frozenset(("mean", "scale")),
        )
    )
    found.append(
        Kind(
            "OwnLoss",
            OwnLoss,
            {"function": anything},
            frozenset(("function",)),
            own=frozenset(("function",)),
        )
    )
    return found


def _make_callback(cls: type, state: dict):
    made = object.__new__(cls)
    made.__dict__.update(state)
    return made
