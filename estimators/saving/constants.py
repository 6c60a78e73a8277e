"""Functions and types that model files name: tables of ours, nothing is looked up."""

from __future__ import annotations

import functools
from types import FunctionType

import numpy as np

from slimlearn import layers
from slimlearn.backend import ops

__all__ = ["TYPES", "functions", "name_of_function"]

# Of NumPy, element by element: what FunctionTransformer and normalizers are given.
_UFUNCS = (
    *("abs", "absolute", "arccosh", "arcsinh", "arctan", "arctanh", "cbrt", "ceil"),
    *("cos", "deg2rad", "exp", "exp2", "expm1", "fabs", "floor", "log", "log10"),
    *("log1p", "log2", "negative", "positive", "rad2deg", "reciprocal", "rint", "sign"),
    *("sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc"),
)

TYPES = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "list": list,
    "object": object,
    **{
        f"numpy.{name}": getattr(np, name)
        for name in (
            *("bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"),
            *(
                "uint64",
                "float16",
                "float32",
                "float64",
                "number",
                "integer",
                "floating",
            ),
        )
    },
}


@functools.cache
def functions() -> dict:
    """Functions by the words of files: ours that are public, and NumPy's."""
    # Few files name one; to import these takes longer than to load most files.
    from slimlearn.layers import nets

    found = {f"numpy.{name}": getattr(np, name) for name in _UFUNCS}
    for called, module in (("layers", layers), ("ops", ops)):
        found.update(_public(called, module))
    for name in nets.__all__:
        module = getattr(nets, name)
        if hasattr(module, "__all__"):
            found.update(_public(f"nets.{name}", module))
    return found


@functools.cache
def _words() -> dict[int, str]:
    return {id(function): word for word, function in functions().items()}


def name_of_function(value) -> str | None:
    """The word of a function; None if files have none."""
    return _words().get(id(value)) if callable(value) else None


def _public(called: str, module) -> dict:
    return {
        f"{called}.{name}": value
        for name in module.__all__
        if isinstance(value := getattr(module, name), FunctionType)
    }
