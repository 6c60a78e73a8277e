"""Errors of keywords that a function does not have: what they are called here."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import TypeVar

__all__ = ["checks_keywords", "hint"]

_F = TypeVar("_F", bound=Callable)


def hint(name: str, known: Iterable[str], names: dict[str, str]) -> str | None:
    """What to write in the place of `name`; None if nobody knows.

    Parameters
    ----------
    name : str
    known : iterable of str
        The names that there are.
    names : dict of str to str
        What others call something: one of `known`, or words.
    """
    known = list(known)
    found = names.get(name)
    if found in known:
        return f"it is called {found} here"
    if found is not None and " " in found:
        return found
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else None


def checks_keywords(explain: Callable[..., str]) -> Callable[[_F], _F]:
    """Decorate a method, so that a keyword that it does not have is explained.

    The signature stays as it is.

    Parameters
    ----------
    explain : callable
        ``explain(self, name, known)``: the text of the error.
    """

    def decorate(method: _F) -> _F:
        parameters = list(inspect.signature(method).parameters.values())[1:]
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            return method
        known = frozenset(p.name for p in parameters)

        @functools.wraps(method)
        def call(self, *args, **kwargs):
            if kwargs and not kwargs.keys() <= known:
                name = next(name for name in kwargs if name not in known)
                raise TypeError(explain(self, name, [p.name for p in parameters]))
            return method(self, *args, **kwargs)

        return call

    return decorate
