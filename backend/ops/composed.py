"""Elementwise functions that NumPy has, as compositions of ops."""

import math

from slimlearn.backend import ops
from slimlearn.backend.graph import FLOATS, NUMBERS, Tensor, type_text
from slimlearn.backend.op import also, check_tensor, public, types_text, value_text
from slimlearn.backend.ops.source import is_number

_BOOL = frozenset(("bool",))


def _operand(a, op: str, name: str | None, allowed=FLOATS) -> Tensor:
    """Return `a` if a tensor of one of these types, or refuse it."""
    check_tensor(a, op, name)
    if a.dtype not in allowed:
        raise ValueError(
            f"[{op} {name or op}] a is {type_text(*a.type)}, needs "
            f"{types_text(allowed)}: cast it"
        )
    return a


@public
def clip(a: Tensor, a_min=None, a_max=None, name: str | None = None) -> Tensor:
    """Return the elements within bounds; those beyond become the nearer bound.

    Parameters
    ----------
    a : Tensor of numbers
    a_min, a_max : number, Tensor or None
        None leaves a side open.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        Elements at or within the bounds pass their gradient on, others do not, as in
        PyTorch and TensorFlow.

    Raises
    ------
    TypeError
        If `a` is no tensor.
    ValueError
        If neither bound is given, or types or shapes do not fit.
    """
    _operand(a, "clip", name, NUMBERS)
    if a_min is None and a_max is None:
        raise ValueError(f"[clip {name or 'clip'}] give a_min, a_max or both")
    if a_max is None:
        return ops.maximum(a, a_min, name)
    lower = a if a_min is None else ops.maximum(a, a_min)
    return ops.minimum(lower, a_max, name)


@public
def floor_divide(a, b, name: str | None = None) -> Tensor:
    """Return the largest whole number not above a / b, element by element.

    Parameters
    ----------
    a, b : Tensor of numbers
        Of one type, and of shapes that broadcast; one of them may be a number.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        Of their type, without gradient. Whole numbers divided by 0 give 0; those beyond
        2**53 are divided as the nearest float64.

    Raises
    ------
    TypeError
        If neither is a tensor.
    ValueError
        If types or shapes do not fit.
    """
    a, b = _pair("floor_divide", a, b, name)
    if a.dtype in FLOATS:
        return ops.floor(a / b, name)
    wide = ops.cast(b, "f64")
    zero = ops.equal(b, 0)
    quotient = ops.floor(ops.cast(a, "f64") / ops.where(zero, 1.0, wide))
    return ops.where(zero, 0, ops.cast(quotient, a.dtype), name)


@also("remainder")
def mod(a, b, name: str | None = None) -> Tensor:
    """Return a - b · floor(a / b), which has the sign of b, element by element.

    Parameters
    ----------
    a, b : Tensor of numbers
        Of one type, and of shapes that broadcast; one of them may be a number.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        Of their type, as Python's ``%``. It rounds as the formula does, so that many
        times `b` leave fewer exact digits. Whole numbers by 0 give 0.

    Raises
    ------
    TypeError
        If neither is a tensor.
    ValueError
        If types or shapes do not fit.
    """
    a, b = _pair("mod", a, b, name)
    rest = a - b * floor_divide(a, b)
    if a.dtype not in FLOATS:
        return ops.where(ops.equal(b, 0), 0, rest, name)
    # The quotient may have been rounded up to a whole number.
    other_side = ops.less(ops.sign(rest) * ops.sign(b), 0)
    return ops.where(other_side, rest + b, rest, name)


def _pair(op: str, a, b, name: str | None) -> tuple[Tensor, Tensor]:
    """Return both as tensors of numbers; a number takes the other's type."""
    for one, other in ((a, b), (b, a)):
        if isinstance(one, Tensor) and (isinstance(other, Tensor) or is_number(other)):
            _operand(one, op, name, NUMBERS)
            as_tensor = ops.as_tensor(other, one.dtype)
            return (one, as_tensor) if one is a else (as_tensor, one)
    raise TypeError(
        f"[{op} {name or op}] needs a tensor and a tensor or number, got "
        f"{value_text(a)} and {value_text(b)}"
    )


@public
def logical_xor(a: Tensor, b: Tensor, name: str | None = None) -> Tensor:
    """Return whether one of `a` and `b` holds, but not both, element by element.

    Parameters
    ----------
    a, b : Tensor of bool
        Of shapes that broadcast.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of bool

    Raises
    ------
    ValueError
        If types or shapes do not fit.
    """
    for operand in (a, b):
        if isinstance(operand, Tensor):
            _operand(operand, "logical_xor", name, _BOOL)
    return ops.not_equal(a, b, name)


@public
def isnan(a: Tensor, name: str | None = None) -> Tensor:
    """Return whether each element is NaN.

    Parameters
    ----------
    a : Tensor of f32 or f64
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of bool
    """
    return ops.not_equal(_operand(a, "isnan", name), a, name)


@public
def isinf(a: Tensor, name: str | None = None) -> Tensor:
    """Return whether each element is infinite.

    Parameters
    ----------
    a : Tensor of f32 or f64
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of bool
    """
    return ops.equal(ops.abs(_operand(a, "isinf", name)), math.inf, name)


@public
def nan_to_num(a: Tensor, nan: float = 0.0, name: str | None = None) -> Tensor:
    """Return a number in place of NaN; infinite elements stay.

    Parameters
    ----------
    a : Tensor of f32 or f64
    nan : float, default=0.0
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        As `a`; the gradient of what was NaN is 0.
    """
    return ops.where(isnan(_operand(a, "nan_to_num", name)), nan, a, name)


@public
def log2(a: Tensor, name: str | None = None) -> Tensor:
    """Return the logarithm to base 2, element by element.

    Parameters
    ----------
    a : Tensor of f32 or f64
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        As `a`.
    """
    return ops.mul(ops.log(a), 1 / math.log(2), name)


@public
def log10(a: Tensor, name: str | None = None) -> Tensor:
    """Return the logarithm to base 10, element by element.

    Parameters
    ----------
    a : Tensor of f32 or f64
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        As `a`.
    """
    return ops.mul(ops.log(a), 1 / math.log(10), name)


@public
def exp2(a: Tensor, name: str | None = None) -> Tensor:
    """Return 2 to the power `a`, element by element.

    Parameters
    ----------
    a : Tensor of f32 or f64
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        As `a`.
    """
    return ops.pow(2.0, _operand(a, "exp2", name), name)


@public
def tan(a: Tensor, name: str | None = None) -> Tensor:
    """Return the tangent of `a`, in radians, element by element.

    Parameters
    ----------
    a : Tensor of f32 or f64
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        As `a`.
    """
    return ops.div(ops.sin(a), ops.cos(a), name)


@public
def sinh(a: Tensor, name: str | None = None) -> Tensor:
    """Return the hyperbolic sine of `a`, element by element.

    Parameters
    ----------
    a : Tensor of f32 or f64
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        As `a`; exact near 0.
    """
    rise = ops.expm1(a)
    return ops.mul(rise + rise / (rise + 1), 0.5, name)


@public
def cosh(a: Tensor, name: str | None = None) -> Tensor:
    """Return the hyperbolic cosine of `a`, element by element.

    Parameters
    ----------
    a : Tensor of f32 or f64
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        As `a`.
    """
    return ops.mul(ops.exp(a) + ops.exp(ops.neg(a)), 0.5, name)
