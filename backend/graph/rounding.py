"""Numbers of 16 bits: what the operands of products are rounded to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["COMPUTE_TYPES", "rounded"]


class _Format(NamedTuple):
    bits: int  # of a normal number's fraction
    least: int  # exponent of the smallest normal number
    most: float


_FORMATS = {
    "bfloat16": _Format(7, -126, float(2**128 - 2**120)),
    "float16": _Format(10, -14, 65504.0),
}
COMPUTE_TYPES = tuple(_FORMATS)


def rounded(array: np.ndarray, compute: str) -> np.ndarray:
    """Return the nearest numbers that the format has, in the array's own type.

    Of two as near it is the one whose last bit is zero. Beyond the largest number it is
    infinity, as IEEE 754 says.

    Parameters
    ----------
    array : ndarray of float32 or float64
    compute : {"bfloat16", "float16"}
    """
    form = _FORMATS[compute]
    with np.errstate(over="ignore", invalid="ignore"):
        wide = array.astype(np.float64)
        exponent = np.frexp(wide)[1] - 1
        step = np.maximum(exponent, form.least) - form.bits
        near = np.ldexp(np.rint(np.ldexp(wide, -step)), step)
        near = np.where(np.abs(near) > form.most, np.copysign(np.inf, near), near)
        return near.astype(array.dtype)
