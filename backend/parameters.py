"""Parameter objects: get_params, set_params, repr and equality of small settings.

Optimizers and schedules are searched and cloned like estimators; this is all of
scikit-learn's protocol that they need, without importing it.
"""

from __future__ import annotations

import inspect
import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from slimlearn.backend.keywords import checks_keywords, hint
from slimlearn.backend.portable import Portable

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Parameters", "alike"]


class Parameters(Portable):
    """Base of objects whose state is what their constructor was given."""

    _names: tuple[str, ...] = ()
    # What other libraries call the parameters, or where they have them.
    _elsewhere: dict[str, str] = {}  # noqa: RUF012

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = checks_keywords(_explain)(cls.__init__)
        cls._names = tuple(inspect.signature(cls).parameters)

    @classmethod
    def _parameter_names(cls) -> tuple[str, ...]:
        return cls._names

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.startswith("_")]

    def get_params(self, deep: bool = True) -> dict:
        """Parameters by name, as scikit-learn's estimators give them.

        Parameters
        ----------
        deep : bool, default=True
            Accepted for scikit-learn's sake: there are no nested parameters.

        Returns
        -------
        dict
        """
        return {name: getattr(self, name) for name in self._names}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name.

        Parameters
        ----------
        **params
            The parameters of the constructor.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the object has no parameter of that name.
        """
        for name, value in params.items():
            if name not in self._names:
                told = hint(name, self._names, self._elsewhere)
                raise ValueError(
                    f"Invalid parameter {name!r} for {type(self).__name__}. "
                    f"Valid parameters are: {list(self._names)!r}"
                    + (f": {told}" if told else ".")
                )
            setattr(self, name, value)
        return self

    def check(self) -> None:
        """Raise ValueError for a parameter out of its range."""

    def _require(
        self, name: str, accepted: str, condition, *, whole: bool = False
    ) -> None:
        value = getattr(self, name)
        kind = Integral if whole else Real
        number = isinstance(value, kind) and not isinstance(value, bool)
        if not (number and math.isfinite(value) and condition(value)):
            raise ValueError(
                f"The '{name}' parameter of {type(self).__name__} must be "
                f"{accepted}. Got {value!r} instead."
            )

    def _require_flag(self, name: str) -> None:
        value = getattr(self, name)
        if not isinstance(value, (bool, np.bool_)):
            raise ValueError(
                f"The '{name}' parameter of {type(self).__name__} must be True or "
                f"False. Got {value!r} instead."
            )

    def __eq__(self, other):
        return type(self) is type(other) and alike(
            self.get_params(), other.get_params()
        )

    def __hash__(self):
        return hash((type(self), *map(_hash, self.get_params().values())))

    def __repr__(self):
        default = inspect.signature(type(self)).parameters
        shown = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if not alike(value, default[name].default)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


def _hash(value) -> int:
    try:
        return hash(value)
    except TypeError:  # a list, an array
        return 0


def _explain(parameters: Parameters, name: str, known) -> str:
    told = hint(name, known, parameters._elsewhere)
    told = told or f"it has {', '.join(known) or 'none'}"
    return f"{type(parameters).__name__} has no parameter {name!r}: {told}"


def alike(a, b) -> bool:
    """Whether two parameters, or dicts of them, are equal; arrays if all in them is."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    if getattr(a, "shape", ()) or getattr(b, "shape", ()):
        return type(a) is type(b) and a.dtype == b.dtype and np.array_equal(a, b)
    return bool(a == b)
