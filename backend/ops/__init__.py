"""The ops by family, as functions from tensors to tensors of the current function."""

from slimlearn.backend.graph import Tensor
from slimlearn.backend.ops.binary import (
    add,
    div,
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    logical_or,
    maximum,
    minimum,
    mul,
    not_equal,
    pow,
    relu_grad,
    select,
    sigmoid_cross_entropy,
    sub,
)
from slimlearn.backend.ops.contraction import matmul, orthogonal
from slimlearn.backend.ops.indexing import gather, one_hot, scatter_add
from slimlearn.backend.ops.random import dropout, random_normal, random_uniform
from slimlearn.backend.ops.reduction import (
    argmax,
    logsumexp,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_sum,
    sum_to,
)
from slimlearn.backend.ops.slicing import concat, getitem, pad, slice_
from slimlearn.backend.ops.softmax import (
    log_softmax,
    softmax,
    softmax_cross_entropy,
    sparse_softmax_cross_entropy,
)
from slimlearn.backend.ops.source import (
    as_tensor,
    constant,
    constant_list,
    extent,
    input_,
    iota,
)
from slimlearn.backend.ops.sparse import (
    can_be_rows,
    csr_matmul,
    csr_transpose,
    rows,
)
from slimlearn.backend.ops.structure import broadcast_to, reshape, transpose
from slimlearn.backend.ops.unary import (
    abs,
    cast,
    ceil,
    cos,
    erf,
    erfinv,
    exp,
    expm1,
    floor,
    identity,
    is_finite,
    log,
    log1p,
    logical_not,
    neg,
    reciprocal,
    relu,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    softplus,
    sqrt,
    square,
    stop_gradient,
    tanh,
)

__all__ = [
    "abs",
    "add",
    "argmax",
    "as_tensor",
    "broadcast_to",
    "can_be_rows",
    "cast",
    "ceil",
    "concat",
    "constant",
    "constant_list",
    "cos",
    "csr_matmul",
    "csr_transpose",
    "div",
    "dropout",
    "equal",
    "erf",
    "erfinv",
    "exp",
    "expm1",
    "extent",
    "floor",
    "gather",
    "getitem",
    "greater",
    "greater_equal",
    "identity",
    "input_",
    "iota",
    "is_finite",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logsumexp",
    "matmul",
    "maximum",
    "minimum",
    "mul",
    "neg",
    "not_equal",
    "one_hot",
    "orthogonal",
    "pad",
    "pow",
    "random_normal",
    "random_uniform",
    "reciprocal",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_sum",
    "relu",
    "relu_grad",
    "reshape",
    "round",
    "rows",
    "rsqrt",
    "scatter_add",
    "select",
    "sigmoid",
    "sigmoid_cross_entropy",
    "sign",
    "sin",
    "slice_",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "sparse_softmax_cross_entropy",
    "sqrt",
    "square",
    "stop_gradient",
    "sub",
    "sum_to",
    "tanh",
    "transpose",
]


def _reflected(function):
    return lambda a, b: function(b, a)


# The graph knows no op, so its operators are attached here.
Tensor.__add__ = lambda a, b: add(a, b)
Tensor.__radd__ = _reflected(add)
Tensor.__sub__ = lambda a, b: sub(a, b)
Tensor.__rsub__ = _reflected(sub)
Tensor.__mul__ = lambda a, b: mul(a, b)
Tensor.__rmul__ = _reflected(mul)
Tensor.__truediv__ = lambda a, b: div(a, b)
Tensor.__rtruediv__ = _reflected(div)
Tensor.__pow__ = lambda a, b: pow(a, b)
Tensor.__rpow__ = _reflected(pow)
Tensor.__matmul__ = lambda a, b: matmul(a, b)
Tensor.__neg__ = lambda a: neg(a)
Tensor.__and__ = Tensor.__rand__ = lambda a, b: logical_and(a, b)
Tensor.__or__ = Tensor.__ror__ = lambda a, b: logical_or(a, b)
Tensor.__invert__ = lambda a: logical_not(a)
Tensor.__lt__ = lambda a, b: less(a, b)
Tensor.__le__ = lambda a, b: less_equal(a, b)
Tensor.__gt__ = lambda a, b: greater(a, b)
Tensor.__ge__ = lambda a, b: greater_equal(a, b)
Tensor.__getitem__ = getitem
