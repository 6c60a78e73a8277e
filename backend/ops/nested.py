"""Tensors and arrays in tuples, lists and dicts, as functions take and return them."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from slimlearn.backend.graph import Tensor
from slimlearn.backend.op import check_tensor
from slimlearn.backend.ops.creation import array


class Fixed(NamedTuple):
    """What stays as it is, in a structure without its leaves."""

    kind: type  # as 1 equals True
    value: object

    @classmethod
    def of(cls, value) -> "Fixed":
        return cls(type(value), value)


class _Parts(NamedTuple):
    kind: type
    keys: tuple | None
    parts: tuple


LEAF = "*"
_NUMBERS = (bool, int, float, np.bool_, np.number, np.ndarray)


def taken_apart(value, leaf: Callable) -> tuple[list, object]:
    """Return the leaves of a structure and what `rebuild` needs to build it again.

    Parameters
    ----------
    value : object, or a tuple, list or dict of such, nested at will
    leaf : callable
        From an object to what is listed of it and LEAF, or to None and a `Fixed`.
    """
    if isinstance(value, dict):
        kind, keys, parts = dict, tuple(value), list(value.values())
    elif isinstance(value, (tuple, list)):
        kind, keys, parts = type(value), None, list(value)
    else:
        taken, like = leaf(value)
        return ([taken] if like == LEAF else []), like
    pairs = [taken_apart(part, leaf) for part in parts]
    leaves = [one for some, _ in pairs for one in some]
    return leaves, _Parts(kind, keys, tuple(like for _, like in pairs))


def flatten(value, scope: str, op: str, what: str) -> tuple[list[Tensor], object]:
    """Return the tensors of a structure and its `like`.

    None may stand in it, and numbers and arrays, which `array` makes tensors of.
    """

    def leaf(value):
        if value is None:
            return None, Fixed.of(None)
        if isinstance(value, _NUMBERS):
            return array(value), LEAF
        return check_tensor(value, op, f"{scope}: {what}"), LEAF

    return taken_apart(value, leaf)


def rebuild(leaves: Iterable, like):
    """Return `leaves` in the structure that they were taken from."""
    leaves = iter(leaves)

    def build(part):
        if part == LEAF:
            return next(leaves)
        if isinstance(part, Fixed):
            return part.value
        kind, keys, parts = part
        values = [build(inner) for inner in parts]
        if keys is not None:
            return dict(zip(keys, values, strict=True))
        return kind(*values) if hasattr(kind, "_fields") else kind(values)

    return build(like)


def structure_text(like) -> str:
    if like == LEAF:
        return "a tensor"
    if isinstance(like, Fixed):
        return repr(like.value)
    return f"{like.kind.__name__} of {len(like.parts)}"
