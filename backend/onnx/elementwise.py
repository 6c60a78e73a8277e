"""Elementwise ops as ONNX nodes."""

from __future__ import annotations

import numpy as np

from slimlearn.backend.onnx.registry import converts

_UNARY = {
    "neg": "Neg",
    "abs": "Abs",
    "sign": "Sign",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "reciprocal": "Reciprocal",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "softplus": "Softplus",
    "erf": "Erf",
    "floor": "Floor",
    "ceil": "Ceil",
    "round": "Round",
    "sin": "Sin",
    "cos": "Cos",
    "logical_not": "Not",
}
_BINARY = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "maximum": "Max",
    "minimum": "Min",
    "pow": "Pow",
    "equal": "Equal",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "logical_and": "And",
    "logical_or": "Or",
}
# Where exp(x) - 1 is -1 in all types.
_ALL_LOST = -40.0


def _name(node) -> str:
    return node.results[0].name


@converts(*_UNARY)
def unary(writer, node, operands):
    return [writer.add(_UNARY[node.op], *operands, wish=_name(node))]


@converts(*_BINARY)
def binary(writer, node, operands):
    return [writer.add(_BINARY[node.op], *operands, wish=_name(node))]


@converts("identity", "stop_gradient", "copy", "recompute")
def same(writer, node, operands):
    return [operands[0]]


@converts("square")
def square(writer, node, operands):
    [x] = operands
    return [writer.add("Mul", x, x, wish=_name(node))]


@converts("relu")
def relu(writer, node, operands):
    [x], [dtype, _] = operands, node.results[0].type
    if dtype in ("f32", "f64"):
        return [writer.add("Relu", x, wish=_name(node))]
    return [writer.add("Max", x, writer.number(0, dtype), wish=_name(node))]


@converts("rsqrt")
def rsqrt(writer, node, operands):
    root = writer.add("Sqrt", *operands)
    return [writer.add("Reciprocal", root, wish=_name(node))]


@converts("expm1")
def expm1(writer, node, operands):
    # 2 sinh(x/2) exp(x/2): nothing is cancelled near 0.
    x = writer.add("Max", *operands, writer.number(_ALL_LOST))
    half = writer.add("Mul", x, writer.number(0.5))
    sinh, exp = writer.add("Sinh", half), writer.add("Exp", half)
    product = writer.add("Mul", sinh, exp)
    return [writer.add("Mul", product, writer.number(2.0), wish=_name(node))]


@converts("log1p")
def log1p(writer, node, operands):
    return [log1p_of(writer, operands[0], _name(node))]


def log1p_of(writer, x: str, wish: str | None = None) -> str:
    """Return log(1 + x): log(u) · x / (u - 1) of the rounded u = 1 + x (Kahan)."""
    one = writer.number(1.0)
    x = writer.add("Min", x, writer.number(np.finfo(writer.real).max))
    u = writer.add("Add", x, one)
    ratio = writer.add("Div", x, writer.add("Sub", u, one))
    scaled = writer.add("Mul", writer.add("Log", u), ratio)
    # log(0) · (-1 / -1) is -inf, as it should be; u = 1 would be 0/0.
    return writer.add("Where", writer.add("Equal", u, one), x, scaled, wish=wish)


@converts("round_bfloat16", "round_float16")
def rounded(writer, node, operands):
    import onnx

    word = node.op.rpartition("_")[2].upper()
    small = writer.add("Cast", *operands, to=getattr(onnx.TensorProto, word))
    return [writer.cast(small, node.results[0].dtype, _name(node))]


# Coefficients of "Approximating the erfinv function", M. Giles, 2010, single precision.
_NEAR = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06)
_NEAR += (0.00021858087, -0.00125372503, -0.00417768164, 0.246640727, 1.50140941)
_FAR = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844)
_FAR += (0.00573950773, -0.0076224613, 0.00943887047, 1.00167406, 2.83297682)


@converts("erfinv")
def erfinv(writer, node, operands):
    [x], number = operands, writer.number
    square = writer.add("Mul", x, x)
    w = writer.add("Neg", log1p_of(writer, writer.add("Neg", square)))
    near = writer.add("Sub", w, number(2.5))
    far = writer.add("Sub", writer.add("Sqrt", w), number(3.0))
    near, far = _horner(writer, near, _NEAR), _horner(writer, far, _FAR)
    chosen = writer.add("Where", writer.add("Less", w, number(5.0)), near, far)
    return [writer.add("Mul", chosen, x, wish=_name(node))]


def _horner(writer, x: str, coefficients) -> str:
    total = writer.number(coefficients[0])
    for coefficient in coefficients[1:]:
        product = writer.add("Mul", total, x)
        total = writer.add("Add", product, writer.number(coefficient))
    return total


@converts("is_finite")
def is_finite(writer, node, operands):
    [x] = operands
    nothing = writer.add("Sub", x, x)
    return [writer.add("Equal", nothing, writer.number(0.0), wish=_name(node))]


@converts("not_equal")
def not_equal(writer, node, operands):
    return [writer.add("Not", writer.add("Equal", *operands), wish=_name(node))]


@converts("relu_grad")
def relu_grad(writer, node, operands):
    g, y = operands
    zero = writer.number(0.0)
    positive = writer.add("Greater", y, zero)
    return [writer.add("Where", positive, g, zero, wish=_name(node))]


@converts("sigmoid_cross_entropy")
def sigmoid_cross_entropy(writer, node, operands):
    # max(z, 0) - z·y + log1p(exp(-|z|))
    z, y = operands
    small = writer.add("Exp", writer.add("Neg", writer.add("Abs", z)))
    linear = writer.add("Sub", writer.add("Relu", z), writer.add("Mul", z, y))
    return [writer.add("Add", linear, log1p_of(writer, small), wish=_name(node))]


@converts("select")
def select(writer, node, operands):
    test, a, b = operands
    if node.results[0].dtype != "bool":
        return [writer.add("Where", test, a, b, wish=_name(node))]
    chosen = writer.add("And", test, a)
    other = writer.add("And", writer.add("Not", test), b)
    return [writer.add("Or", chosen, other, wish=_name(node))]


@converts("cast")
def cast(writer, node, operands):
    source, result = node.operands[0].dtype, node.results[0].dtype
    if writer.numpy_type(source) == writer.numpy_type(result):
        return [operands[0]]
    if result == "u8" and source in ("f32", "f64"):
        limits = writer.number(0.0), writer.number(255.0)
        operands = [writer.add("Clip", *operands, *limits)]
    return [writer.cast(operands[0], result, _name(node))]
