"""What a checkpoint tells of its fit, looked at before any of it is used."""

from __future__ import annotations

import math
from dataclasses import fields
from numbers import Real

from slimlearn.estimators.history import History

__all__ = ["check_fit"]


def _count(value) -> bool:
    return type(value) is int and 0 <= value < 2**53


def _number(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _curve(value) -> bool:
    return isinstance(value, list) and all(map(_number, value))


def _record(value, checks: dict) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == set(checks)
        and all(check(value[name]) for name, check in checks.items())
    )


def _result(value) -> bool:
    numbers = {"loss_sum": _number, "weight_sum": _number, "steps": _count}
    return _record(value, {**numbers, "ended": lambda v: isinstance(v, bool)})


def _within(value) -> bool:
    checks = {"part": _count, "result": _result, "earlier": _result}
    return value is None or _record(value, {**checks, "earlier_loss": _number})


def _history(value) -> bool:
    if not isinstance(value, dict):
        return False
    checks = {field.name: _curve for field in fields(History)}
    checks["best_iteration"] = _count
    checks["columns"] = lambda v: isinstance(v, dict) and all(map(_curve, v.values()))
    return _record({"learning_rates": [], **value}, checks)  # older ones have none


_FIT = {
    "fit": lambda v: isinstance(v, str),
    "epoch": _count,
    "step": _count,
    "memory": lambda v: v is None or isinstance(v, dict),
    "learning_rate": lambda v: _number(v) and math.isfinite(v) and v >= 0,
    "ended": lambda v: v is None or isinstance(v, str),
    "history": _history,
    "within": _within,
    "monitor": lambda v: isinstance(v, dict),
    "callbacks": lambda v: isinstance(v, dict),
}


def check_fit(fit) -> None:
    """Raise ValueError unless `fit` is what `FitState.saved` may tell.

    What the monitor and callbacks kept they look at themselves.
    """
    if not isinstance(fit, dict) or set(fit) != set(_FIT):
        raise ValueError("the checkpoint is damaged (its fit has other fields)")
    for name, check in _FIT.items():
        if not check(fit[name]):
            raise ValueError(
                f"the checkpoint is damaged (its {name} is {str(fit[name])[:60]})"
            )
    if fit["epoch"] != len(fit["history"]["loss_curve"]):
        raise ValueError("the checkpoint is damaged (epochs and losses differ)")
