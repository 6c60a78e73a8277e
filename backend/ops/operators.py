"""What Python's operators and NumPy's functions do with a tensor.

The graph knows no op, so they are attached here.
"""

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import Tensor
from slimlearn.backend.op import FUNCTIONS, PUBLIC

_OPERATORS = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "truediv": "div",
    "floordiv": "floor_divide",
    "mod": "mod",
    "pow": "pow",
    "matmul": "matmul",
    "neg": "neg",
    "abs": "abs",
    "and": "logical_and",
    "or": "logical_or",
    "xor": "logical_xor",
    "invert": "logical_not",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "getitem": "getitem",
    "floor": "floor",
    "ceil": "ceil",
}
_REFLECTED = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor",
)  # fmt: skip
# NumPy's ufuncs by which ``scalar <operator> tensor`` comes.
_SCALARS = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "floor_divide": "floor_divide",
    "remainder": "mod",
    "power": "pow",
    "less": "less",
    "less_equal": "less_equal",
    "greater": "greater",
    "greater_equal": "greater_equal",
}
# What NumPy calls differently; of other functions the name is looked up.
_NAMES = {
    "absolute": "abs",
    "amax": "max",
    "amin": "min",
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "bitwise_xor": "logical_xor",
    "invert": "logical_not",
    "rint": "round",
}
_METHODS = {
    "T": "ops.transpose(x)",
    "ndim": "x.rank",
    "permute": "ops.transpose(x, …)",
    "size": "ops.extent(dim)",
    "unsqueeze": "ops.expand_dims(x, …)",
    "view": "ops.reshape(x, …)",
}


def _reflected(function):
    return lambda a, b: function(b, a)


def _round(a: Tensor, digits: int | None = None) -> Tensor:
    return ops.round(a, digits or 0)


def _divmod(a, b) -> tuple[Tensor, Tensor]:
    return ops.floor_divide(a, b), ops.mod(a, b)


def _instead(numpy_name: str) -> str:
    name = _NAMES.get(numpy_name, numpy_name)
    if name in PUBLIC:
        return f"use ops.{name} (from slimlearn import ops)"
    return "compute with the functions of ops (from slimlearn import ops)"


def _array_ufunc(self, ufunc, method, *inputs, **keywords):
    """A NumPy scalar on the left works; anything else is refused with its like."""
    word = _SCALARS.get(ufunc.__name__)
    if word and method == "__call__" and not getattr(inputs[0], "shape", ()):
        scalar = inputs[0]
        scalar = scalar[()] if hasattr(scalar, "ndim") else scalar
        return FUNCTIONS[word](scalar, inputs[1])
    arrays = any(isinstance(one, np.ndarray) for one in inputs)
    raise TypeError(
        f"np.{ufunc.__name__} cannot compute with %{self.name}, which has no value "
        f"while the network is being built: {_instead(ufunc.__name__)}"
        + (", and ops.array for the array" if arrays else "")
    )


def _array_function(self, function, types, arguments, keywords):
    raise TypeError(
        f"np.{function.__name__} cannot compute with %{self.name}, which has no value "
        f"while the network is being built: {_instead(function.__name__)}"
    )


def _getattr(self, name: str):
    if not name.startswith("_"):
        instead = _METHODS.get(name) or (name in PUBLIC and f"ops.{name}(x, …)")
        if instead:
            raise AttributeError(f"a tensor has no attribute {name!r}: use {instead}")
    raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def attach() -> None:
    """Give tensors their operators, once all functions are there."""
    for word, name in _OPERATORS.items():
        setattr(Tensor, f"__{word}__", FUNCTIONS[name])
    for word in _REFLECTED:
        setattr(Tensor, f"__r{word}__", _reflected(FUNCTIONS[_OPERATORS[word]]))
    Tensor.__pos__ = lambda a: a
    Tensor.__round__ = _round
    Tensor.__divmod__ = _divmod
    Tensor.__rdivmod__ = lambda a, b: _divmod(b, a)
    Tensor.__array_ufunc__ = _array_ufunc
    Tensor.__array_function__ = _array_function
    Tensor.__getattr__ = _getattr
