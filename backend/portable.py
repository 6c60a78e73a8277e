"""Objects of the user's classes in pickles: where these are read the class may be lost.

A class goes into a pickle as its name. Where no module has that name, a `Missing`
stands for the class and another for each of its objects, wherever in the pickle they
are: what does not need them works, and what does says what is missing.
"""

from __future__ import annotations

import copyreg
import functools
import importlib
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "Carrier",
    "Missing",
    "MissingCode",
    "Name",
    "Portable",
    "PortableType",
    "carried",
    "is_known",
    "name_of",
    "released",
]

# Packages that are there wherever slimlearn is.
_KNOWN = {"numpy", "scipy", "sklearn", "slimlearn", *sys.stdlib_module_names}


class MissingCode(ImportError):
    """What needs the user's code was asked of a model that was read without it."""


class Name(NamedTuple):
    """Where a function or a class is found, and the script that had it."""

    module: str
    qualname: str
    script: str = ""

    def __str__(self) -> str:
        script = f" of {self.script}" if self.script else ""
        return f"{self.module}.{self.qualname}{script}"

    def find(self):
        """What has the name.

        Raises
        ------
        ImportError, AttributeError
            If nothing has it.
        """
        module = importlib.import_module(self.module)
        return functools.reduce(getattr, self.qualname.split("."), module)


def name_of(kind) -> Name:
    """The name of a function or class, or of what stands for one."""
    if "_lost" in vars(kind):
        return kind._lost
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    script = Path(script).name if kind.__module__ == "__main__" and script else ""
    return Name(kind.__module__, kind.__qualname__, script)


def is_known(kind) -> bool:
    """Whether a function or class is there wherever slimlearn is."""
    return (kind.__module__ or "").partition(".")[0] in _KNOWN


class Missing:
    """Stands for an object of the user's whose code was not found.

    Parameters
    ----------
    called : str
        Its function or class, with the module.
    params : dict
        Its parameters, as far as they are there.
    reason : str
        What was not found.
    reduced : tuple
        How it is pickled: where its code is, it is whole again.
    """

    _advice = (
        "import or define it as it was and load the model again, or set another in its "
        "place"
    )

    def __init__(self, called: str, params: dict, reason: str, reduced: tuple):
        self._called, self._params, self._reason = called, params, reason
        self._reduced = reduced

    def __reduce__(self):
        return self._reduced

    def __repr__(self):
        shown = ", ".join(f"{name}={value!r}" for name, value in self._params.items())
        return f"<missing {self._called}({shown})>" if shown else str(self)

    def __str__(self):
        return f"<missing {self._called}>"

    def get_params(self, deep: bool = True) -> dict:
        """The parameters that are there."""
        return dict(self._params)

    def _refuse(self, *_args, **_kwargs):
        raise MissingCode(
            f"{self._called} is not here ({self._reason}): {self._advice}; what was "
            "fitted predicts without it"
        )

    __call__ = set_params = __sklearn_clone__ = _refuse

    # A loss of several numbers makes predictions of them by functions of its own.
    _call, _mean, _std = _refuse, None, None


class MissingClass(Missing):
    """Stands for a class, and makes what stands for its objects."""

    def __init__(self, name: Name, reason: str, parameters: tuple):
        self._parameters = parameters
        super().__init__(str(name), {}, reason, (_found, (name, parameters)))

    def instance(self, *arguments) -> MissingObject:
        """What stands for an object; its state is still to come."""
        return MissingObject(self, arguments)


class MissingObject(Missing):
    """Stands for an object of a class that was not found, and keeps its state."""

    def __init__(self, kind: MissingClass, arguments: tuple):
        reduced = _instance, (kind, *arguments)
        super().__init__(kind._called, {}, kind._reason, reduced)

    def __setstate__(self, state) -> None:
        kind = self._reduced[1][0]
        self._reduced = (*self._reduced[:2], state)
        state = state if isinstance(state, dict) else {}
        self._params = {
            name: state[name]
            for name in kind._parameters
            if name in state and not isinstance(state[name], Missing)
        }


class Carrier(type):
    """A class for each thing that is packed apart.

    `pickle` asks the table of `copyreg` how to write it. Cloudpickle, which sends what
    scripts define to other processes, does not: it writes classes that no module has
    by what is in them, and so what is held with its code.
    """


def carried(value, reduce: Callable) -> Carrier:
    """A class that `pickle` writes as `reduce` says of the value, or what is there."""
    held = {"held": (value,), "reduce": reduce, "__module__": __name__}
    return Carrier("Carried", (), held)


def released(value):
    """What was carried, wherever it was between."""
    return value.held[0] if isinstance(value, Carrier) else value


copyreg.pickle(Carrier, lambda carrier: carrier.reduce(*carrier.held))


class Portable:
    """Base of objects whose classes users write, and pickles are read without."""

    def __reduce_ex__(self, protocol):
        kind = type(self)
        if is_known(kind) or kind.__reduce__ is not object.__reduce__:
            return super().__reduce_ex__(protocol)
        how, (_, *arguments), *rest = super().__reduce_ex__(max(protocol, 2))
        if how is not copyreg.__newobj__:  # it has keywords for __new__
            return how, (kind, *arguments), *rest
        return _instance, (carried(kind, _reduce_class), *arguments), *rest

    @classmethod
    def _parameter_names(cls) -> tuple[str, ...]:
        """Of the state, what `Missing.get_params` shows."""
        return ()

    @classmethod
    def _stand_in(cls) -> tuple:
        """A function, and its further arguments, that makes a class of (name, reason).

        It stands for this one where this one is missing; by default a `MissingClass`.
        """
        return ()


class PortableType(type):
    """Of classes that are themselves parameters: they too may be missing."""


def _reduce_class(kind):
    """A class as its name and what stands for it, or what pickle does by itself."""
    if is_known(kind):
        return kind.__qualname__
    name = name_of(kind)
    if "_lost" not in vars(kind):
        _check_found(kind, name)
    return _found, (name, tuple(kind._parameter_names()), *kind._stand_in())


copyreg.pickle(PortableType, _reduce_class)


def _check_found(kind, name: Name) -> None:
    try:
        found = name.find()
    except (ImportError, AttributeError):
        found = None
    if found is not kind:
        raise pickle.PicklingError(
            f"Can't pickle {kind}: it is not found as {name.module}.{name.qualname}: "
            "define it at the top level of a module"
        )


def _found(name: Name, parameters: tuple, make: Callable | None = None, *facts):
    """The class of that name, or what stands for it."""
    try:
        return name.find()
    except (ImportError, AttributeError) as error:
        if make is not None:
            return make(name, str(error), *facts)
        return MissingClass(name, str(error), parameters)


def _instance(kind, *arguments):
    """An object of the class, or what stands for one."""
    kind = released(kind)
    if isinstance(kind, MissingClass):
        return kind.instance(*arguments)
    return kind.__new__(kind, *arguments)
