"""Elementwise ops of one operand."""

import math

import numpy as np
from scipy import special

from slimlearn.backend import ops
from slimlearn.backend.graph import FLOATS, NUMBERS, Tensor, current_graph, is_symbolic
from slimlearn.backend.graph.rounding import rounded
from slimlearn.backend.op import (
    OPS,
    Op,
    also,
    check_count,
    check_dtype,
    check_tensor,
    described,
    dtype_of,
    emit,
    public,
    target,
    types_text,
)

_NONE: dict = {}


def _function(op: "Unary"):
    """Return the public function of the op, which checks no more than it must."""
    word, dtypes, result_dtype = op.name, op.dtypes, op.result_dtype

    def function(a: Tensor, name: str | None = None) -> Tensor:
        if not isinstance(a, Tensor):
            check_tensor(a, word, name)
        if a.dtype not in dtypes:
            return emit(word, (a,), None, None, name)
        types = ((result_dtype or a.dtype, a.shape),)
        return current_graph().append(word, (a,), _NONE, types, name).results[0]

    parameters = f"a : Tensor of {types_text(dtypes)}\n    Of any shape."
    returns = f"Tensor\n    Element by element, {result_dtype or 'of the type of `a`'}."
    return described(op, function, parameters, returns)


class Unary(Op):
    """Base: result i is a function of operand element i. Makes its public function."""

    elementwise = True
    dtypes = FLOATS
    result_dtype: str | None = None
    function = None

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        if "name" in cls.__dict__:
            _function(OPS[cls.name])

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        check_dtype(types, self.dtypes)
        dtype, shape = types[0]
        return [(self.result_dtype or dtype, shape)]

    def reference(self, context, arrays, node):
        return [type(self).function(arrays[0])]

    def row_local(self, node):
        return not is_symbolic(node.results[0].shape[1:], "B")


class Neg(Unary):
    """-a."""

    name = "neg"
    called = "negative"
    dtypes = NUMBERS
    function = np.negative

    def grad(self, node, index, dy):
        return ops.neg(dy)


class Abs(Unary):
    """The absolute value of a.

    The gradient at 0 is 0.
    """

    name = "abs"
    dtypes = NUMBERS
    function = np.abs

    def grad(self, node, index, dy):
        return dy * ops.sign(node.operands[0])


class Sign(Unary):
    """-1, 0 or 1, the sign of a.

    The gradient is zero everywhere.
    """

    name = "sign"
    dtypes = NUMBERS
    function = np.sign

    def grad(self, node, index, dy):
        return None


class Exp(Unary):
    """e to the power a."""

    name = "exp"
    function = np.exp

    def grad(self, node, index, dy):
        return dy * node.results[0]


class Expm1(Unary):
    """exp(a) - 1, exact near 0."""

    name = "expm1"
    function = np.expm1

    def grad(self, node, index, dy):
        return dy * (node.results[0] + 1)


class Log(Unary):
    """The natural logarithm of a."""

    name = "log"
    function = np.log

    def grad(self, node, index, dy):
        return dy / node.operands[0]


class Log1p(Unary):
    """log(1 + a), exact near 0."""

    name = "log1p"
    function = np.log1p

    def grad(self, node, index, dy):
        return dy / (node.operands[0] + 1)


class Sqrt(Unary):
    """The square root of a.

    The gradient at 0 is infinite: add a small number inside where zeros come.
    """

    name = "sqrt"
    function = np.sqrt

    def grad(self, node, index, dy):
        return dy * 0.5 / node.results[0]


class Rsqrt(Unary):
    """1 / sqrt(a)."""

    name = "rsqrt"

    def reference(self, context, arrays, node):
        return [1 / np.sqrt(arrays[0])]

    def grad(self, node, index, dy):
        return dy * -0.5 * node.results[0] / node.operands[0]


class Reciprocal(Unary):
    """1 / a."""

    name = "reciprocal"
    function = np.reciprocal

    def grad(self, node, index, dy):
        return ops.neg(dy) * ops.square(node.results[0])


class Square(Unary):
    """a * a."""

    name = "square"
    dtypes = NUMBERS
    function = np.square

    def grad(self, node, index, dy):
        return dy * 2 * node.operands[0]


class Tanh(Unary):
    """The hyperbolic tangent of a."""

    name = "tanh"
    function = np.tanh

    def grad(self, node, index, dy):
        return dy * (1 - ops.square(node.results[0]))


class Sigmoid(Unary):
    """1 / (1 + exp(-a))."""

    name = "sigmoid"
    function = special.expit

    def grad(self, node, index, dy):
        y = node.results[0]
        return dy * (y * (1 - y))


class Softplus(Unary):
    """log(1 + exp(a)), without overflow."""

    name = "softplus"

    def reference(self, context, arrays, node):
        return [np.logaddexp(arrays[0].dtype.type(0), arrays[0])]

    def grad(self, node, index, dy):
        return dy * ops.sigmoid(node.operands[0])


class Erf(Unary):
    """The error function of a."""

    name = "erf"
    function = special.erf

    def grad(self, node, index, dy):
        return dy * (
            ops.exp(ops.neg(ops.square(node.operands[0]))) * (2 / math.sqrt(math.pi))
        )


class Erfinv(Unary):
    """The inverse of erf, for -1 < a < 1."""

    name = "erfinv"
    function = special.erfinv

    def grad(self, node, index, dy):
        return dy * (ops.exp(ops.square(node.results[0])) * (math.sqrt(math.pi) / 2))


class Sin(Unary):
    """The sine of a, in radians."""

    name = "sin"
    function = np.sin

    def grad(self, node, index, dy):
        return dy * ops.cos(node.operands[0])


class Cos(Unary):
    """The cosine of a, in radians."""

    name = "cos"
    function = np.cos

    def grad(self, node, index, dy):
        return ops.neg(dy * ops.sin(node.operands[0]))


class Floor(Unary):
    """The largest whole number not above a.

    The gradient is zero everywhere.
    """

    name = "floor"
    function = np.floor

    def grad(self, node, index, dy):
        return None


class Ceil(Unary):
    """The smallest whole number not below a.

    The gradient is zero everywhere.
    """

    name = "ceil"
    function = np.ceil

    def grad(self, node, index, dy):
        return None


class Round(Unary):
    """The nearest whole number, halves to the even one."""

    name = "round"
    function = np.rint

    def grad(self, node, index, dy):
        return None


class RoundBfloat16(Unary):
    """The nearest number that bfloat16 has: 8 bits, the exponents of float32."""

    name = "round_bfloat16"
    own = True

    def reference(self, context, arrays, node):
        return [rounded(arrays[0], "bfloat16")]

    def grad(self, node, index, dy):
        return None


class RoundFloat16(Unary):
    """The nearest number that float16 has: 11 bits, from 6e-8 to 65504."""

    name = "round_float16"
    own = True

    def reference(self, context, arrays, node):
        return [rounded(arrays[0], "float16")]

    def grad(self, node, index, dy):
        return None


class Relu(Unary):
    """max(a, 0).

    The gradient at 0 is 0, as in PyTorch and TensorFlow.
    """

    name = "relu"
    dtypes = NUMBERS

    def reference(self, context, arrays, node):
        return [np.maximum(arrays[0], 0)]

    def grad(self, node, index, dy):
        return ops.relu_grad(dy, node.results[0])


class IsFinite(Unary):
    """Whether a is neither infinite nor NaN."""

    name = "is_finite"
    called = "isfinite"
    result_dtype = "bool"
    function = np.isfinite


class LogicalNot(Unary):
    """Not a."""

    name = "logical_not"
    dtypes = frozenset(("bool",))
    function = np.logical_not


class StopGradient(Unary):
    """a, whose gradient is taken as zero."""

    name = "stop_gradient"
    dtypes = NUMBERS | {"bool", "u8"}
    alias = True
    function = np.array

    def grad(self, node, index, dy):
        return None


class Identity(Unary):
    """a, under another name."""

    name = "identity"
    dtypes = NUMBERS | {"bool", "u8"}
    alias = True
    function = np.array

    def grad(self, node, index, dy):
        return dy


class Cast(Unary):
    """a as another type; fractions are cut towards zero, bool is "not 0".

    Of a float beyond an integer type comes the nearest that the type has; of NaN comes
    its least.
    """

    name = "cast"
    dtypes = NUMBERS | {"bool", "u8"}

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 1)
        return [(target(declared)[0], types[0][1])]

    def reference(self, context, arrays, node):
        (a,), dtype = arrays, np.dtype(context.result(node)[0])
        if a.dtype.kind != "f" or dtype.kind not in "iu":
            return [a.astype(dtype)]
        limits = np.iinfo(dtype)
        above = a >= float(limits.max)
        inside = (a > float(limits.min)) & ~above
        whole = np.where(inside, a, 0).astype(dtype)
        nearest = np.where(above, limits.max, limits.min).astype(dtype)
        return [np.where(inside, whole, nearest)]

    def grad(self, node, index, dy):
        if node.results[0].dtype not in FLOATS:
            return None
        return cast(dy, node.operands[0].dtype)


@also("astype")
def cast(a: Tensor, dtype, name: str | None = None) -> Tensor:
    """Return `a` as another type.

    Parameters
    ----------
    a : Tensor
    dtype : str, type or numpy.dtype
        "f32", "f64", "i32", "i64", "bool", "u8", or NumPy's name of one of them.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        Of the shape of `a`: fractions are cut towards zero, bool is "not 0". `a` itself
        if it has the type and no name is given. Only floating types have a gradient.

    Raises
    ------
    TypeError
        If `a` is no tensor, or there is no such type.
    """
    check_tensor(a, "cast", name)
    dtype = dtype_of(dtype, "cast", name)
    if a.dtype == dtype and name is None:
        return a
    return emit("cast", (a,), None, [(dtype, a.shape)], name)


@public
def round(a: Tensor, decimals: int = 0, name: str | None = None) -> Tensor:
    """Return the nearest whole number, halves to the even one, element by element.

    Parameters
    ----------
    a : Tensor of f32 or f64
    decimals : int, default=0
        How many digits are kept behind the point; of a negative number that many before
        it become 0.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        As `a`; the gradient is zero everywhere.

    Raises
    ------
    TypeError
        If `a` is no tensor, or `decimals` no whole number.
    ValueError
        If `a` is of another type: cast it.
    """
    check_tensor(a, "round", name)
    if not hasattr(decimals, "__index__"):
        raise TypeError(
            f"[round {name or 'round'}] decimals is a whole number, got {decimals!r}"
        )
    if decimals == 0:
        return emit("round", (a,), None, None, name)
    scale = 10.0**decimals
    return ops.div(emit("round", (a * scale,)), scale, name)
