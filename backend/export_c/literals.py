"""Numbers as C has them: the shortest text that reads back as the same number."""

from __future__ import annotations

import math

import numpy as np

from slimlearn.backend.export_c.helpers import C_TYPES
from slimlearn.backend.graph import NUMPY_TYPES

__all__ = ["definition", "literal"]

_PER_LINE = 8


def literal(value, dtype: str) -> str:
    """A number of a type of the program, as text."""
    if dtype not in ("f32", "f64"):
        return str(int(value))
    value = NUMPY_TYPES[dtype].type(value)
    if not math.isfinite(value):
        sign = "-" if value < 0 else ""
        return "NAN" if math.isnan(value) else f"{sign}INFINITY"
    text = str(value)
    text = text if set(text) & set(".e") else f"{text}.0"
    return f"{text}f" if dtype == "f32" else text


def definition(name: str, array: np.ndarray, dtype: str) -> str:
    """A constant array, some numbers a line."""
    shape = " x ".join(map(str, array.shape)) or "1"
    texts = [literal(value, dtype) for value in array.reshape(-1)]
    lines = [
        "  " + ", ".join(texts[i : i + _PER_LINE]) + ","
        for i in range(0, len(texts), _PER_LINE)
    ]
    count = max(len(texts), 1)
    head = f"/* {shape} */\nstatic const {C_TYPES[dtype]} {name}[{count}] = {{"
    return "\n".join([head, *(lines or ["  0,"]), "};", ""])
