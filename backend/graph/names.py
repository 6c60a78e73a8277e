"""What a value may be called, and the scope that stands before its name."""

import contextlib
import re
from collections.abc import Iterator
from contextvars import ContextVar

_NAME = re.compile(r"[A-Za-z0-9_./:@-]+", re.ASCII)
_scope: ContextVar[str] = ContextVar("slimlearn_name_scope", default="")


def current_scope() -> str:
    """Return the full name scope, "" at the top."""
    return _scope.get()


@contextlib.contextmanager
def name_scope(name: str) -> Iterator[str]:
    """Prefix names of values with `name` inside the block.

    Parameters
    ----------
    name : str

    Yields
    ------
    str
        The full scope.
    """
    check_name(name)
    outer = _scope.get()
    token = _scope.set(f"{outer}/{name}" if outer else name)
    try:
        yield _scope.get()
    finally:
        _scope.reset(token)


@contextlib.contextmanager
def absolute_scope(scope: str) -> Iterator[str]:
    """Replace the whole name scope inside the block."""
    token = _scope.set(scope)
    try:
        yield scope
    finally:
        _scope.reset(token)


def check_name(name: str) -> str:
    """Return `name` if the program's text can hold it, else raise ValueError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"a name consists of letters, digits and _ . / : @ -; got {name!r}"
        )
    return name
