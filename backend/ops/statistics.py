"""Reductions that NumPy has, as compositions of ops: var, any, prod, cumsum, argmin."""

from slimlearn.backend import ops
from slimlearn.backend.graph import NUMBERS, Tensor, type_text
from slimlearn.backend.op import check_tensor, public
from slimlearn.backend.ops.reduction import axes_of
from slimlearn.backend.ops.structure import axis_of


@public
def var(
    a: Tensor, axis=None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """Return the variance of the elements along axes, divided by their number.

    Parameters
    ----------
    a : Tensor of f32 or f64
    axis : int or sequence of int, optional
        The axes that are reduced, all of them by default.
    keepdims : bool, default=False
        Keep reduced axes with length 1.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If there is no such axis, or `a` has whole numbers: cast it.
    """
    axes = axes_of(a, axis, "var", name)
    centered = a - ops.mean(a, axes, keepdims=True)
    return ops.mean(ops.square(centered), axes, keepdims, name)


@public
def std(
    a: Tensor, axis=None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """Return the standard deviation of the elements along axes.

    Parameters
    ----------
    a : Tensor of f32 or f64
    axis : int or sequence of int, optional
        The axes that are reduced, all of them by default.
    keepdims : bool, default=False
        Keep reduced axes with length 1.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        Where all elements are equal the gradient is not finite: there
        ``sqrt(var(x) + 1e-6)`` is of use.

    Raises
    ------
    ValueError
        If there is no such axis, or `a` has whole numbers: cast it.
    """
    return ops.sqrt(var(a, axis, keepdims), name)


@public
def any(
    a: Tensor, axis=None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """Return whether some element along axes holds, or is not 0.

    Parameters
    ----------
    a : Tensor of bool or numbers
    axis : int or sequence of int, optional
        The axes that are reduced, all of them by default.
    keepdims : bool, default=False
        Keep reduced axes with length 1.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of bool

    Raises
    ------
    ValueError
        If there is no such axis.
    """
    return ops.greater(count_nonzero(a, axis, keepdims), 0, name)


@public
def all(
    a: Tensor, axis=None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """Return whether all elements along axes hold, or are not 0.

    Parameters
    ----------
    a : Tensor of bool or numbers
    axis : int or sequence of int, optional
        The axes that are reduced, all of them by default.
    keepdims : bool, default=False
        Keep reduced axes with length 1.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of bool

    Raises
    ------
    ValueError
        If there is no such axis.
    """
    fails = ops.equal(check_tensor(a, "all", name), 0)
    return ops.equal(count_nonzero(fails, axis, keepdims), 0, name)


@public
def count_nonzero(
    a: Tensor, axis=None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """Return how many elements along axes hold, or are not 0.

    Parameters
    ----------
    a : Tensor of bool or numbers
    axis : int or sequence of int, optional
        The axes that are reduced, all of them by default.
    keepdims : bool, default=False
        Keep reduced axes with length 1.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of i64

    Raises
    ------
    ValueError
        If there is no such axis.
    """
    axes = axes_of(a, axis, "count_nonzero", name)
    holds = a if a.dtype == "bool" else ops.not_equal(a, 0)
    return ops.sum(ops.cast(holds, "i64"), axes, keepdims, name)


@public
def prod(a: Tensor, axis=-1, keepdims: bool = False, name: str | None = None) -> Tensor:
    """Return the product of the elements along axes.

    Parameters
    ----------
    a : Tensor of numbers
    axis : int or sequence of int, default=-1
        The axes that are reduced, of fixed sizes: the last one by default.
    keepdims : bool, default=False
        Keep reduced axes with length 1.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        Of the type of `a`; the gradient is right where elements are 0, too.

    Raises
    ------
    ValueError
        If there is no such axis, or it has no fixed size.
    """
    axes = axes_of(a, axis, "prod", name)
    result = a
    for at in axes:
        size = _fixed(result, at, "prod", name)
        while size > 1:  # halves by halves
            half = size // 2
            left = ops.slice_(result, at, 0, half)
            right = ops.slice_(result, at, half, 2 * half)
            odd = [ops.slice_(result, at, size - 1, size)] if size % 2 else []
            result, size = ops.concat([left * right, *odd], at), half + size % 2
        if size == 0:
            shape = (*result.shape[:at], 1, *result.shape[at + 1 :])
            result = ops.full(shape, 1, result.dtype)
    kept = [1 if i in axes else size for i, size in enumerate(a.shape)]
    rest = [size for i, size in enumerate(a.shape) if i not in axes]
    return ops.reshape(result, kept if keepdims else rest, name)


@public
def cumsum(a: Tensor, axis: int = -1, name: str | None = None) -> Tensor:
    """Return the sum of the elements up to each along an axis.

    Parameters
    ----------
    a : Tensor of numbers
    axis : int, default=-1
        Of fixed size.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        As `a`.

    Raises
    ------
    ValueError
        If there is no such axis, or it has no fixed size.
    """
    at = axis_of(a, axis, "cumsum", name)
    size = _fixed(a, at, "cumsum", name)
    result, reach = a, 1
    while reach < size:  # each element sums the `reach` that end with it
        earlier = ops.slice_(result, at, 0, size - reach)
        result = result + ops.pad_axis(earlier, at, reach, 0)
        reach *= 2
    return result if name is None else ops.identity(result, name)


@public
def cumprod(a: Tensor, axis: int = -1, name: str | None = None) -> Tensor:
    """Return the product of the elements up to each along an axis.

    Parameters
    ----------
    a : Tensor of numbers
    axis : int, default=-1
        Of fixed size.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        As `a`.

    Raises
    ------
    ValueError
        If there is no such axis, or it has no fixed size.
    """
    at = axis_of(a, axis, "cumprod", name)
    size = _fixed(a, at, "cumprod", name)
    result, reach = a, 1
    while reach < size:  # each element multiplies the `reach` that end with it
        earlier = ops.slice_(result, at, 0, size - reach)
        first = ops.slice_(result, at, 0, reach)
        rest = ops.slice_(result, at, reach, size) * earlier
        result, reach = ops.concat([first, rest], at), 2 * reach
    return result if name is None else ops.identity(result, name)


@public
def argmin(a: Tensor, axis: int = -1, name: str | None = None) -> Tensor:
    """Return the position of the smallest element along an axis.

    Parameters
    ----------
    a : Tensor of numbers
    axis : int, default=-1
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of i64
        Of the shape of `a` without the axis. Of equals the first counts, and NaN before
        all; there is no gradient.

    Raises
    ------
    ValueError
        If there is no such axis, or nothing along it.
    """
    axis_of(a, axis, "argmin", name)
    # -1 - a has no overflow where -a has one.
    turned = ops.sub(-1, a) if a.dtype in ("i32", "i64") else ops.neg(a)
    return ops.argmax(turned, axis, name)


def _fixed(a: Tensor, axis: int, op: str, name: str | None) -> int:
    if a.dtype not in NUMBERS:
        raise ValueError(
            f"[{op} {name or op}] a is {type_text(*a.type)}, needs numbers: cast it"
        )
    size = a.shape[axis]
    if type(size) is not int:
        raise ValueError(
            f"[{op} {name or op}] axis {axis} of {type_text(*a.type)} has no fixed size"
        )
    return size
