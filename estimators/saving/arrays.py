"""Arrays in model files: those that the container has no word for as others of it."""

from __future__ import annotations

import re

import numpy as np

__all__ = ["as_stored", "from_stored", "simple_dtype"]

_PLAIN = frozenset(("b1", "u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4"))
_PLAIN |= {"u8", "i8", "f8"}
# Of complex numbers, dates, times, texts and bytes.
_OTHERS = re.compile(
    r"<c8|<c16|<[mM]8(\[\d{0,9}(generic|Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?"
    r"|<U\d{1,7}|\|S\d{1,7}"
)
_SIMPLE = re.compile(r"[<|>][biufc]\d{1,2}|\|O|" + _OTHERS.pattern)


def simple_dtype(words) -> np.dtype:
    """The type of a word such as "<f8"; ValueError for one that files do not have."""
    if not isinstance(words, str) or not _SIMPLE.fullmatch(words):
        raise ValueError(f"{words!r:.40} is no type of arrays")
    try:
        return np.dtype(words)
    except TypeError as error:
        raise ValueError(f"{words!r:.40} is no type of arrays") from error


def as_stored(array: np.ndarray) -> tuple[np.ndarray, dict]:
    """An array as the container has it, and what of it else has to be told.

    Raises
    ------
    TypeError
        If files hold no arrays of its type.
    """
    told: dict = {}
    kept = array
    if array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous:
        told["order"], kept = "F", array.T
    if not kept.dtype.isnative:
        kept = kept.astype(kept.dtype.newbyteorder("="))
    words = kept.dtype.str
    if words[1:] in _PLAIN:
        return np.ascontiguousarray(kept).reshape(kept.shape), told
    if not _OTHERS.fullmatch(words):
        raise TypeError(f"a model file holds no arrays of type {array.dtype}")
    told["dtype"] = words
    kept = np.ascontiguousarray(kept).reshape(kept.shape)
    part = {"c": "<f4" if words == "<c8" else "<f8", "m": "<i8", "M": "<i8"}
    part |= {"U": "<u4", "S": "|u1"}
    one = np.dtype(part[kept.dtype.kind])
    parts = kept.dtype.itemsize // one.itemsize
    return kept.reshape(-1).view(one).reshape(*kept.shape, parts), told


def from_stored(kept: np.ndarray, told: dict) -> np.ndarray:
    """The array that `as_stored` was given; ValueError if it cannot be one."""
    words, order = told.get("dtype"), told.get("order")
    if words is not None:
        if not isinstance(words, str) or not _OTHERS.fullmatch(words):
            raise ValueError(f"{words!r:.40} is no type of arrays")
        kept = _as_other(kept, simple_dtype(words))
    if order is not None:
        if order != "F":
            raise ValueError(f"{order!r:.40} is no order of arrays")
        kept = kept.T
    return kept


def _as_other(kept: np.ndarray, dtype: np.dtype) -> np.ndarray:
    wanted = {"c": "f", "m": "i", "M": "i", "U": "u", "S": "u"}[dtype.kind]
    size = {"c": dtype.itemsize // 2, "m": 8, "M": 8, "U": 4, "S": 1}[dtype.kind]
    fits = kept.dtype.kind == wanted and kept.dtype.itemsize == size and kept.ndim
    if not fits or kept.shape[-1] * size != dtype.itemsize:
        raise ValueError(f"an array of {kept.dtype} {kept.shape} is none of {dtype}")
    if dtype.kind == "U" and kept.size and kept.max() > 0x10FFFF:
        raise ValueError("an array of texts has what is no character")
    shape = kept.shape[:-1]
    if dtype.itemsize == 0:
        return np.zeros(shape, dtype)
    return np.ascontiguousarray(kept).reshape(-1).view(dtype).reshape(shape)
