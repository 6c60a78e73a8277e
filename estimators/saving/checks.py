"""What a field of a model file may hold: functions from a value to whether it may."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real

import numpy as np

Check = Callable[[object], bool]


def anything(value) -> bool:
    """Any value that a file can hold."""
    return True


def text(value) -> bool:
    """A str."""
    return isinstance(value, str)


def flag(value) -> bool:
    """True or False."""
    return isinstance(value, (bool, np.bool_))


def whole(value) -> bool:
    """An integer."""
    return isinstance(value, Integral) and not flag(value)


def count(value) -> bool:
    """An integer of at least 0 that arrays can be long."""
    return whole(value) and 0 <= value < 2**53


def number(value) -> bool:
    """A real number, NaN too."""
    return isinstance(value, Real) and not flag(value)


def array(value) -> bool:
    """An array of any type."""
    return isinstance(value, np.ndarray)


def numeric(value) -> bool:
    """A number or truth value, or an array of them."""
    return (array(value) and value.dtype.kind in "fiub") or number(value) or flag(value)


def finite(value) -> bool:
    """The same without NaN and infinity."""
    return numeric(value) and bool(np.isfinite(value).all())


def numbers(value) -> bool:
    """An array of numbers or truth values."""
    return array(value) and value.dtype.kind in "fiub"


def key(value) -> bool:
    """The name or the position of a column."""
    return text(value) or count(value)


def optional(check: Check) -> Check:
    """None, or what is checked."""
    return lambda value: value is None or check(value)


def either(*checks: Check) -> Check:
    """What one of them takes."""
    return lambda value: any(check(value) for check in checks)


def listed(check: Check, kind: type = list) -> Check:
    """A list of what is checked."""
    return lambda value: type(value) is kind and all(map(check, value))


def in_tuple(check: Check) -> Check:
    """A tuple of what is checked."""
    return listed(check, tuple)


def mapped(keys: Check, values: Check) -> Check:
    """A dict."""
    return lambda value: (
        type(value) is dict
        and all(map(keys, value))
        and all(map(values, value.values()))
    )


def of(*kinds: type) -> Check:
    """An object of one of the classes."""
    return lambda value: isinstance(value, kinds)


def word(*words: str) -> Check:
    """One of the words."""
    return lambda value: isinstance(value, str) and value in words
