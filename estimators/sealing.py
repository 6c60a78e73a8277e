"""The user's code in pickles: where these are read it may be missing.

What was fitted predicts by its program, which is in the pickle: it needs neither the
network's function nor the loss, the scorer and the callbacks of the fit. So each of
these is packed apart, and where its code is not found, a `Missing` stands for it.
"""

from __future__ import annotations

import functools
import pickle
from types import FunctionType, MethodType

from sklearn.base import BaseEstimator

from slimlearn.backend.parameters import Parameters
from slimlearn.backend.portable import (
    Missing,
    MissingCode,
    Portable,
    PortableType,
    carried,
    name_of,
    released,
)

__all__ = [
    "Missing",
    "MissingCode",
    "Sealed",
    "UserFunction",
    "check_present",
    "opened",
    "sealed",
]

# Packages whose objects hold nothing of the user's.
_KNOWN = frozenset(("builtins", "numpy", "scipy", "sklearn", "slimlearn", "functools"))
_PLAIN = frozenset((type(None), bool, int, float, str))  # what most parameters are


class Sealed:
    """Base of objects of ours that hold the user's code."""

    def __getstate__(self) -> dict:
        return sealed(self.__dict__.copy())

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(opened(state))


class UserFunction(Portable, BaseEstimator, metaclass=PortableType):
    """Base of the objects, and of their classes, that decorators make of functions."""

    def __getstate__(self) -> dict:
        return sealed(super().__getstate__())

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(opened(state))

    @classmethod
    def _parameter_names(cls) -> tuple[str, ...]:
        return tuple(cls._get_param_names())


def _pack(value) -> tuple:
    called = str(name_of(_foreign(value)))
    return _unpacked, (pickle.dumps(value), called, _plain_params(value))


def _unpacked(packed: bytes, called: str, params: dict):
    """The object, or what stands for it."""
    try:
        return pickle.loads(packed)
    except (AttributeError, ImportError) as error:
        reduced = _unpacked, (packed, called, params)
        return Missing(called, params, str(error), reduced)


def sealed(value):
    """A state, or a part of it, with the user's objects packed apart."""
    if type(value) in (list, tuple):
        return type(value)(map(sealed, value))
    if type(value) is dict:
        return {name: sealed(part) for name, part in value.items()}
    return value if _foreign(value) is None else carried(value, _pack)


def opened(value):
    """The state that was `sealed`, wherever it was between."""
    if type(value) in (list, tuple):
        return type(value)(map(opened, value))
    if type(value) is dict:
        return {name: opened(part) for name, part in value.items()}
    return released(value)


def check_present(estimator) -> None:
    """Raise MissingCode where the class or a parameter of the estimator is missing."""
    lost = getattr(type(estimator), "_lost", None)
    if lost is not None:
        type(estimator)._refuse()
    for name, value in estimator.get_params(deep=False).items():
        if type(value) in _PLAIN:
            continue
        missing = _missing(value)
        if missing is not None:
            try:
                missing()
            except MissingCode as error:
                raise MissingCode(
                    f"{type(estimator).__name__} needs its {name} to be fitted: {error}"
                ) from None


def _missing(value) -> Missing | None:
    """The first part of a parameter that is missing, or None."""
    if isinstance(value, Missing):
        return value
    if isinstance(value, (list, tuple)):
        parts = value
    elif isinstance(value, (Parameters, BaseEstimator)):
        parts = value.get_params(deep=False).values()
    else:
        return None
    return next(filter(None, map(_missing, parts)), None)


def _kind(value):
    if isinstance(value, MethodType):
        return value.__func__
    return value if isinstance(value, (type, FunctionType)) else type(value)


def _foreign(value):
    """The first function or class in it that no package of ours brings, or None."""
    if isinstance(value, (Missing, Sealed)):
        return None
    kind = _kind(value)
    if (kind.__module__ or "").partition(".")[0] not in _KNOWN:
        return kind
    parts = ()
    if isinstance(value, (list, tuple, set, frozenset)):
        parts = value
    elif isinstance(value, dict):
        parts = value.values()
    elif isinstance(value, functools.partial):
        parts = value.func, value.args, value.keywords
    elif isinstance(value, (Parameters, BaseEstimator)) or hasattr(
        value, "_score_func"
    ):
        parts = vars(value).values()
    return next(filter(None, map(_foreign, parts)), None)


def _plain_params(value) -> dict:
    if isinstance(value, type) or not hasattr(value, "get_params"):
        return {}
    params = value.get_params(deep=False)
    return {name: part for name, part in params.items() if _foreign(part) is None}
