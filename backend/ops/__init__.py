"""The ops by family, as functions from tensors to tensors of the current function.

The functions gather themselves: each is marked `op.public` where it is written, or made
by the base class of its op. `README.md` says what a new op needs.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING

from slimlearn.backend.graph import Tensor
from slimlearn.backend.op import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    def __getattr__(name: str) -> Callable: ...


for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
globals().update(FUNCTIONS)
__all__ = sorted(FUNCTIONS)

# The graph knows no op, so its operators are attached here.
_OPERATORS = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "truediv": "div",
    "pow": "pow",
    "matmul": "matmul",
    "neg": "neg",
    "and": "logical_and",
    "or": "logical_or",
    "invert": "logical_not",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "getitem": "getitem",
}


def _reflected(function):
    return lambda a, b: function(b, a)


for _operator, _name in _OPERATORS.items():
    setattr(Tensor, f"__{_operator}__", FUNCTIONS[_name])
for _operator in ("add", "sub", "mul", "truediv", "pow", "and", "or"):
    _name = _OPERATORS[_operator]
    setattr(Tensor, f"__r{_operator}__", _reflected(FUNCTIONS[_name]))
