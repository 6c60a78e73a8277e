"""What a network computes with, as functions from tensors to tensors, named as NumPy's.

::

    from slimlearn import ops

    x = ops.where(x > 0, x, ops.exp(x) - 1)
    x = ops.concat([x, ops.mean(x, 1, keepdims=True), x[:, ::2]])

Tensors have Python's operators, too. Axis 0 is the batch, whose size is known when the
network runs; so `concat`, `stack` and `split` work along the last axis by default.
Where TF-Slim code has another word (`reduce_sum`, `select`, `neg`), it is an alias.

The functions gather themselves: each is marked `op.public` where it is written, or made
by the base class of its op. `README.md` says what a new op needs.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING

from slimlearn.backend.graph import Tensor
from slimlearn.backend.op import FUNCTIONS, PUBLIC

if TYPE_CHECKING:  # checkers and editors see what is written by hand, and signatures
    from collections.abc import Sequence

    from slimlearn.backend.ops.binary import *
    from slimlearn.backend.ops.composed import *
    from slimlearn.backend.ops.contraction import *
    from slimlearn.backend.ops.control import *
    from slimlearn.backend.ops.convolution import *
    from slimlearn.backend.ops.creation import *
    from slimlearn.backend.ops.custom import *
    from slimlearn.backend.ops.einsum import *
    from slimlearn.backend.ops.indexing import *
    from slimlearn.backend.ops.looping import *
    from slimlearn.backend.ops.pooling import *
    from slimlearn.backend.ops.random import *
    from slimlearn.backend.ops.rearranging import *
    from slimlearn.backend.ops.reduction import *
    from slimlearn.backend.ops.selection import *
    from slimlearn.backend.ops.slicing import *
    from slimlearn.backend.ops.softmax import *
    from slimlearn.backend.ops.source import *
    from slimlearn.backend.ops.sparse import *
    from slimlearn.backend.ops.statistics import *
    from slimlearn.backend.ops.structure import *
    from slimlearn.backend.ops.subscript import *
    from slimlearn.backend.ops.unary import *

    def _unary(a: Tensor, name: str | None = None) -> Tensor: ...

    def _binary(
        a: Tensor | float, b: Tensor | float, name: str | None = None
    ) -> Tensor: ...

    def _reduction(
        a: Tensor,
        axis: int | Sequence[int] | None = None,
        keepdims: bool = False,
        name: str | None = None,
    ) -> Tensor: ...

    # What base classes make of ops.
    abs = ceil = cos = erf = erfinv = exp = expm1 = floor = identity = _unary
    isfinite = log = log1p = logical_not = negative = reciprocal = relu = _unary
    rsqrt = sigmoid = sign = sin = softplus = sqrt = square = _unary
    stop_gradient = tanh = _unary
    add = divide = equal = greater = greater_equal = less = less_equal = _binary
    logical_and = logical_or = maximum = minimum = multiply = not_equal = _binary
    sigmoid_cross_entropy = subtract = _binary
    logsumexp = max = min = sum = _reduction
    # Other words for what is above.
    astype, concatenate, div, is_finite, mul = cast, concat, divide, isfinite, multiply
    neg, pow, range, remainder, reverse = negative, power, arange, mod, flip
    reduce_max, reduce_mean, reduce_min, reduce_sum = max, mean, min, sum
    select, sub, unbind = where, subtract, unstack


for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
operators.attach()
globals().update(FUNCTIONS)
__all__ = sorted(PUBLIC)


def __dir__() -> list[str]:
    return __all__
