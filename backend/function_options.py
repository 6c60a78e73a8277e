"""What `function` takes besides the function, once it is checked."""

import inspect
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from slimlearn.backend.op import value_text


class Options(NamedTuple):
    """What `function` takes besides the function."""

    n_threads: int | None
    random_state: int
    symbols: tuple  # argument, dimensions


def whole(value, what: str, least: int, other: str = "") -> int | None:
    if value is None and other:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(
            f"[function] {what} is {value_text(value)}, needs {other}a whole number "
            f"from {least}"
        )
    if not least <= value < 2**32:
        raise ValueError(
            f"[function] {what} is {value}, needs {other}{least} to {2**32 - 1}"
        )
    return int(value)


def symbols_of(symbols, fn: Callable, name: str) -> tuple:
    """Return the arguments with a symbol, once it is one that stands first."""
    if symbols is None:
        return ()
    if not isinstance(symbols, Mapping) or not symbols:
        raise TypeError(
            f'[{name}] symbols is {value_text(symbols)}, needs a dict as {{"x": ("N", '
            "3)}"
        )
    known, found = inspect.signature(fn).parameters, set()
    for argument, dims in symbols.items():
        where = f"[{name}] symbols[{argument!r}]"
        if argument not in known:
            raise ValueError(f"{where}: there is no such argument")
        fits = isinstance(dims, tuple) and dims and isinstance(dims[0], str)
        if not fits or any(
            type(dim) is not int and (dim is not ... or i + 2 != len(dims))
            for i, dim in enumerate(dims[1:])
        ):
            raise ValueError(
                f"{where} is {dims!r}: needs a tuple of a name, then sizes, of which "
                "... stands for the rest"
            )
        found.add(dims[0])
    if len(found) > 1:
        raise ValueError(
            f"[{name}] symbols are {', '.join(sorted(found))}: there can be one"
        )
    return tuple(symbols.items())


def check_shape(shape: tuple, wanted: tuple, where: str) -> None:
    open_ = wanted[-1] is ...
    sizes = wanted[1 : len(wanted) - open_]
    fits = len(shape) >= len(sizes) + 1 if open_ else len(shape) == len(sizes) + 1
    if not fits or shape[1 : len(sizes) + 1] != sizes:
        text = ", ".join("..." if dim is ... else str(dim) for dim in wanted)
        raise ValueError(f"{where} is of shape {shape}, needs ({text})")
