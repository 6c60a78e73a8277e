"""Elementwise ops of two and three operands."""

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import (
    FLOATS,
    NUMBERS,
    Tensor,
    current_graph,
    element_of,
)
from slimlearn.backend.op import (
    OPS,
    Op,
    Refusal,
    also,
    check_count,
    check_dtype,
    describe,
    described,
    emit,
    types_text,
)
from slimlearn.backend.ops.source import as_tensor, is_number
from slimlearn.backend.shape import broadcast_shapes

_NONE: dict = {}
_BOOL = frozenset(("bool",))


def broadcast_types(types) -> tuple:
    """Return the shape that the operands broadcast to, or refuse."""
    try:
        return broadcast_shapes(*(shape for _, shape in types))
    except ValueError as error:
        raise Refusal(f"shapes do not broadcast: {describe(types)}: {error}") from None


def _function(op: "Binary"):
    """Return the public function of the op."""
    word = op.name

    def function(a, b, name: str | None = None) -> Tensor:
        return _binary(word, a, b, name, op)

    parameters = (
        f"a, b : Tensor of {types_text(op.dtypes)}\n    Of one type, and of shapes "
        "that broadcast; one of them may be a number."
    )
    returns = f"Tensor\n    Element by element, {op.result_dtype or 'of their type'}."
    return described(op, function, parameters, returns)


class Binary(Op):
    """Base: element i of the result comes from elements i of two operands.

    Makes its public function.
    """

    elementwise = True
    dtypes = NUMBERS
    result_dtype: str | None = None
    function = None

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        if "name" in cls.__dict__:
            _function(OPS[cls.name])

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 2)
        check_dtype(types, self.dtypes)
        return [(self.result_dtype or types[0][0], broadcast_types(types))]

    def reference(self, context, arrays, node):
        return [type(self).function(*arrays)]

    def grad(self, node, index, dy):
        return None


class Add(Binary):
    """a + b."""

    name = "add"
    function = np.add

    def grad(self, node, index, dy):
        return dy


class Sub(Binary):
    """a - b."""

    name = "sub"
    called = "subtract"
    function = np.subtract

    def grad(self, node, index, dy):
        return ops.neg(dy) if index else dy


class Mul(Binary):
    """a * b."""

    name = "mul"
    called = "multiply"
    function = np.multiply

    def grad(self, node, index, dy):
        return dy * node.operands[1 - index]


class Div(Binary):
    """a / b."""

    name = "div"
    called = "divide"
    dtypes = FLOATS
    function = np.divide

    def grad(self, node, index, dy):
        b = node.operands[1]
        return ops.neg(dy) * node.results[0] / b if index else dy / b


class Pow(Binary):
    """a to the power b."""

    name = "pow"
    dtypes = FLOATS
    function = np.power

    def grad(self, node, index, dy):
        a, b = node.operands
        if index == 0:
            # a**0 is 1 everywhere: not 0 * a**-1, which is NaN where a = 0.
            return dy * (b * ops.pow(a, ops.select(ops.equal(b, 0), b, b - 1)))
        # a**b has no slope in b where a = 0 (and no real one where a < 0).
        logarithm = ops.log(ops.select(ops.greater(a, 0), a, 1.0))
        power = ops.select(ops.equal(a, 0), 0.0, node.results[0])
        return dy * (power * logarithm)


class Maximum(Binary):
    """The larger of a and b.

    Of equal ones `a` gets the gradient, where PyTorch gives each a half; NaN is passed
    on.
    """

    name = "maximum"
    function = np.maximum

    def grad(self, node, index, dy):
        a, b = node.operands
        return ops.select(ops.less(a, b) if index else ops.greater_equal(a, b), dy, 0.0)


class Minimum(Binary):
    """The smaller of a and b.

    Of equal ones `a` gets the gradient, where PyTorch gives each a half; NaN is passed
    on.
    """

    name = "minimum"
    function = np.minimum

    def grad(self, node, index, dy):
        a, b = node.operands
        return ops.select(ops.greater(a, b) if index else ops.less_equal(a, b), dy, 0.0)


class Equal(Binary):
    """Whether a = b."""

    name = "equal"
    dtypes = NUMBERS | _BOOL
    result_dtype = "bool"
    function = np.equal


class NotEqual(Binary):
    """Whether a ≠ b."""

    name = "not_equal"
    dtypes = NUMBERS | _BOOL
    result_dtype = "bool"
    function = np.not_equal


class Less(Binary):
    """Whether a < b."""

    name = "less"
    result_dtype = "bool"
    function = np.less


class LessEqual(Binary):
    """Whether a ≤ b."""

    name = "less_equal"
    result_dtype = "bool"
    function = np.less_equal


class Greater(Binary):
    """Whether a > b."""

    name = "greater"
    result_dtype = "bool"
    function = np.greater


class GreaterEqual(Binary):
    """Whether a ≥ b."""

    name = "greater_equal"
    result_dtype = "bool"
    function = np.greater_equal


class LogicalAnd(Binary):
    """Both a and b."""

    name = "logical_and"
    dtypes = _BOOL
    function = np.logical_and


class LogicalOr(Binary):
    """a or b or both."""

    name = "logical_or"
    dtypes = _BOOL
    function = np.logical_or


class ReluGrad(Binary):
    """a where b > 0, else 0: relu's gradient from its result."""

    name = "relu_grad"
    own = True
    dtypes = FLOATS

    def reference(self, context, arrays, node):
        dy, y = arrays
        return [np.where(y > 0, dy, dy.dtype.type(0))]

    def grad(self, node, index, dy):
        return None if index else ops.relu_grad(dy, node.operands[1])


class SigmoidCrossEntropy(Binary):
    """-(y·log σ(z) + (1 - y)·log(1 - σ(z))) of logits z and labels y, no overflow."""

    name = "sigmoid_cross_entropy"
    dtypes = FLOATS

    def reference(self, context, arrays, node):
        z, y = arrays
        return [np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))]

    def grad(self, node, index, dy):
        z, y = node.operands
        return ops.neg(dy) * z if index else dy * (ops.sigmoid(z) - y)


class Select(Op):
    """a where the condition holds, else b."""

    name = "select"
    elementwise = True

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 3)
        check_dtype(types[:1], _BOOL, ["the condition"])
        check_dtype(types[1:], NUMBERS | _BOOL)
        return [(types[1][0], broadcast_types(types))]

    def reference(self, context, arrays, node):
        return [np.where(*arrays)]

    def grad(self, node, index, dy):
        if index == 0:
            return None
        condition = node.operands[0]
        taken = (dy, 0.0) if index == 1 else (0.0, dy)
        return where(condition, *taken)


@also("select")
def where(condition: Tensor, a, b, name: str | None = None) -> Tensor:
    """Return `a` where a condition holds, else `b`.

    Parameters
    ----------
    condition : Tensor of bool
    a, b : Tensor
        Of one type; one of them may be a number. The three shapes broadcast.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        Of the type of `a` and `b`.

    Raises
    ------
    TypeError
        If the condition, or both of `a` and `b`, are no tensors.
    ValueError
        If types or shapes do not fit.

    Notes
    -----
    Both are computed, and so are both gradients: keep what is not chosen finite, as in
    ``where(x > 0, log(where(x > 0, x, 1.0)), 0.0)``. `cond` computes one alone.
    """
    a, b = _operands("select", a, b, name)
    return emit("select", (condition, a, b), None, None, name)


def _binary(word: str, a, b, name: str | None, op: Binary) -> Tensor:
    a, b = _operands(word, a, b, name)
    dtype, long, short = a.dtype, a.shape, b.shape
    if dtype == b.dtype and dtype in op.dtypes:
        if len(long) < len(short):
            long, short = short, long
        # The usual broadcasts: equal shapes, a scalar, a row.
        if long == short or not short or long[-len(short) :] == short:
            types = ((op.result_dtype or dtype, long),)
            return current_graph().append(word, (a, b), _NONE, types, name).results[0]
    return emit(word, (a, b), None, None, name)


def _operands(word: str, a, b, name: str | None) -> tuple[Tensor, Tensor]:
    """Return both as tensors; a number takes the type of the other."""
    try:
        if isinstance(a, Tensor):
            if not isinstance(b, Tensor):
                b = as_tensor(b, element_of(a.dtype))
            return a, b
        if isinstance(b, Tensor):
            return as_tensor(a, element_of(b.dtype)), b
    except TypeError as error:
        raise TypeError(f"[{word} {name or word}] {error}") from None
    raise TypeError(f"[{word} {name or word}] one of {a!r}, {b!r} must be a tensor")


@also("pow")
def power(a, b, name: str | None = None) -> Tensor:
    """Return `a` to the power `b`, element by element.

    Parameters
    ----------
    a, b : Tensor of f32 or f64
        Of one type, and of shapes that broadcast; one of them may be a number. The
        exponents 2, 1/2 and -1 are computed as `square`, `sqrt` and `reciprocal`.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        NaN where `a` is negative and `b` no whole number. The gradient in `b` is zero
        where `a` is not positive.

    Raises
    ------
    TypeError
        If neither is a tensor.
    ValueError
        If types or shapes do not fit.
    """
    if is_number(b) and isinstance(a, Tensor):
        if b == 1 and name is None:
            return a
        if b == 2:
            return ops.square(a, name)
        if b == 0.5:
            return ops.sqrt(a, name)
        if b == -1:
            return ops.reciprocal(a, name)
    return _binary("pow", a, b, name, OPS["pow"])
