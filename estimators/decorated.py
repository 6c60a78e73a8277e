"""Classes of parameter objects, made from functions of tensors and keywords."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

__all__ = ["class_of"]


def class_of(
    function: Callable,
    base: type,
    *,
    decorator: str,
    tensors: Mapping[str, str],
    given: tuple[str, ...] = (),
    members: Mapping | None = None,
) -> type:
    """Make a function a class whose instances hold its keyword parameters.

    Parameters
    ----------
    function : callable
        Its first parameters are tensors, the others need defaults.
    base : type
        What the class inherits from; its names cannot be parameters.
    decorator : str
        As the user wrote it, for errors.
    tensors : mapping of str to str
        Usual names of the tensors, and what they are.
    given : tuple of str
        Parameters that are no part of the objects and need no default.
    members : mapping, optional
        Further members of the class.

    Returns
    -------
    class
        Of the function's name and module, with the function as ``_function``.

    Raises
    ------
    TypeError
        If it is no function, takes ``*args`` or ``**kwargs``, lacks the tensors, or
        has a parameter without default.
    """
    if not callable(function) or inspect.isclass(function):
        raise TypeError(f"{decorator} decorates a function; got {function!r}")
    name = function.__name__
    where = f"{decorator} {name}"
    rest = _parameters(function, name, where, tensors)
    searched = [p for p in rest if p.name not in given]
    reserved = frozenset(dir(base))
    for parameter in searched:
        if parameter.default is parameter.empty:
            raise TypeError(
                f"{where}: parameter {parameter.name!r} has no default: give one, so "
                f"that {name}() can be made, cloned and searched"
            )
        if parameter.name in reserved:
            raise TypeError(
                f"{where}: {parameter.name!r} is a name of every {decorator[1:]} "
                "object: choose another for the parameter"
            )
    made = type(
        name,
        (base,),
        {
            "__init__": _constructor(name, searched),
            "__doc__": function.__doc__,
            "__module__": function.__module__,
            "__qualname__": function.__qualname__,
            "_function": staticmethod(function),
            **(members or {}),
        },
    )
    # Found by name, so that the function pickles by reference beside its class.
    function.__qualname__ = f"{function.__qualname__}._function"
    return made


def _constructor(name: str, searched: list) -> Callable:
    positional = [p.name for p in searched if p.kind is not p.KEYWORD_ONLY]
    defaults = {p.name: p.default for p in searched}

    def __init__(self, *args, **kwargs):
        if len(args) > len(positional):
            raise TypeError(
                f"{name}() takes at most {len(positional)} positional arguments, "
                f"got {len(args)}"
            )
        values = dict(zip(positional, args))
        for given in kwargs:
            if given not in defaults:
                known = ", ".join(defaults) or "none"
                raise TypeError(f"{name}() has no parameter {given!r}; it has: {known}")
            if given in values:
                raise TypeError(f"{name}() got {given!r} twice")
        for parameter, default in defaults.items():
            value = values.get(parameter, kwargs.get(parameter, default))
            setattr(self, parameter, value)

    __init__.__signature__ = inspect.Signature(
        [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD), *searched]
    )
    return __init__


def _parameters(function, name, where, tensors) -> list:
    """The parameters behind the tensors."""
    parameters = list(inspect.signature(function).parameters.values())
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(
                f"{where}: {parameter} hides the hyper-parameters: write each as a "
                "parameter with a default"
            )
    leading, count = parameters[: len(tensors)], len(tensors)
    if len(leading) < count or any(p.kind is p.KEYWORD_ONLY for p in leading):
        which = "parameter" if count == 1 else f"{count} parameters"
        raise TypeError(
            f"{where}: the first {which} must be {' and '.join(tensors.values())}, as "
            f"in def {name}({', '.join(tensors)}, …)"
        )
    return parameters[count:]
