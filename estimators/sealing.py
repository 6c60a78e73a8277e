"""The user's code in pickles: where these are read it may be missing.

What was fitted predicts by its program, which is in the pickle: it needs neither the
network's function nor the loss, the scorer and the callbacks of the fit. So each of
these is packed apart, and where its code is not found, a `Missing` stands for it.
"""

from __future__ import annotations

import copyreg
import functools
import pickle
import sys
from pathlib import Path
from types import FunctionType, MethodType

from sklearn.base import BaseEstimator

from slimlearn.backend.parameters import Parameters

__all__ = ["Missing", "MissingCode", "Sealed", "check_present", "opened", "sealed"]

# Packages that are there wherever slimlearn is.
_KNOWN = frozenset(("builtins", "numpy", "scipy", "sklearn", "slimlearn", "functools"))


class MissingCode(ImportError):
    """What needs the user's code was asked of a model that was read without it."""


class Missing:
    """Stands for an object of the user's whose code was not found.

    Parameters
    ----------
    packed : bytes
        The object, which is there again where its code is.
    called : str
        Its function or class, with the module.
    params : dict
        Its parameters, as far as they are plain values.
    reason : str
        What was not found.
    """

    def __init__(self, packed: bytes, called: str, params: dict, reason: str):
        self._saved = packed, called, params
        self._reason = reason

    def __reduce__(self):
        return _unpacked, self._saved

    def __repr__(self):
        _, called, params = self._saved
        shown = ", ".join(f"{name}={value!r}" for name, value in params.items())
        return f"<missing {called}({shown})>" if params else f"<missing {called}>"

    def get_params(self, deep: bool = True) -> dict:
        """The parameters that are plain values."""
        return dict(self._saved[2])

    def _refuse(self, *_args, **_kwargs):
        raise MissingCode(
            f"{self._saved[1]} is not here ({self._reason}): import or define it as it "
            "was and load the model again, or set another in its place; what was "
            "fitted predicts without it"
        )

    __call__ = set_params = __sklearn_clone__ = _refuse

    # A loss of several numbers makes predictions of them by functions of its own.
    _call, _mean, _std = _refuse, None, None


class Sealed:
    """Base of objects of ours that hold the user's code."""

    def __getstate__(self) -> dict:
        return sealed(self.__dict__.copy())

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(opened(state))


class _Carrier(type):
    """A class for each packed object.

    `pickle` asks the table of `copyreg` how to write it: as bytes of their own.
    Cloudpickle, which sends functions of scripts to other processes, does not: it
    writes classes that no module has by what is in them.
    """


def _carry(value) -> _Carrier:
    return _Carrier("Carrier", (), {"held": (value,), "__module__": __name__})


def _reduce(carrier: _Carrier) -> tuple:
    [value] = carrier.held
    return _unpacked, (pickle.dumps(value), _called(value), _plain_params(value))


copyreg.pickle(_Carrier, _reduce)


def _unpacked(packed: bytes, called: str, params: dict):
    """The object, or what stands for it."""
    try:
        return pickle.loads(packed)
    except (AttributeError, ImportError) as error:
        return Missing(packed, called, params, str(error))


def sealed(value):
    """A state, or a part of it, with the user's objects packed apart."""
    if type(value) in (list, tuple):
        return type(value)(map(sealed, value))
    if type(value) is dict:
        return {name: sealed(part) for name, part in value.items()}
    return value if _foreign(value) is None else _carry(value)


def opened(value):
    """The state that was `sealed`, wherever it was between."""
    if type(value) in (list, tuple):
        return type(value)(map(opened, value))
    if type(value) is dict:
        return {name: opened(part) for name, part in value.items()}
    return value.held[0] if isinstance(value, _Carrier) else value


def check_present(estimator) -> None:
    """Raise MissingCode where a parameter of the estimator is missing."""
    for name, value in estimator.get_params(deep=False).items():
        parts = value if isinstance(value, (list, tuple)) else [value]
        for part in parts:
            part = part[1] if isinstance(part, tuple) and len(part) == 2 else part
            if not isinstance(part, Missing):
                continue
            try:
                part()
            except MissingCode as error:
                raise MissingCode(
                    f"{type(estimator).__name__} needs its {name} to be fitted: {error}"
                ) from None


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


def _called(value) -> str:
    kind = _foreign(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if kind.__module__ == "__main__" and script:
        name += f" of {Path(script).name}"
    return name


def _plain_params(value) -> dict:
    if isinstance(value, type) or not hasattr(value, "get_params"):
        return {}
    params = value.get_params(deep=False)
    return {name: part for name, part in params.items() if _foreign(part) is None}
