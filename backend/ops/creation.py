"""New tensors as NumPy makes them: array, zeros, full, arange, eye, tril."""

import math
import operator

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import FLOATS, Tensor, type_text
from slimlearn.backend.op import also, check_tensor, dtype_of, public


@public
def array(values, dtype=None, name: str | None = None) -> Tensor:
    """Return given numbers as a constant of the network.

    Parameters
    ----------
    values : number, nested sequence of numbers, or ndarray
        They become part of the program: for a table of thousands use a variable.
    dtype : str, type or numpy.dtype, optional
        By default the precision of the network for fractions, i64 for whole numbers and
        bool for truth values.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        A tensor that is given comes back, as `dtype` if there is one.

    Raises
    ------
    TypeError
        If something is no number.
    ValueError
        If rows differ in length.
    """
    if isinstance(values, Tensor):
        return values if dtype is None else ops.cast(values, dtype, name)
    found = np.asarray(values)
    kinds = {"f": None, "i": "i64", "u": "i64", "b": "bool"}
    if found.dtype.kind not in kinds:
        raise TypeError(
            f"[array {name or 'array'}] needs numbers, got {type(values).__name__} of "
            f"{found.dtype}"
        )
    wanted = kinds[found.dtype.kind] if dtype is None else dtype
    dtype = dtype_of(wanted, "array", name)
    if found.ndim == 0:
        return ops.constant(found.item(), dtype, (), name)
    held = dtype if dtype in (*FLOATS, "i32", "i64") else "i32"
    flat = found.astype(float if held in FLOATS else int).ravel().tolist()
    result = ops.reshape(ops.constant_list(flat, held), found.shape)
    result = ops.cast(result, dtype)
    return result if name is None else ops.identity(result, name)


@public
def full(shape, value, dtype=None, name: str | None = None) -> Tensor:
    """Return a tensor filled with one number.

    Parameters
    ----------
    shape : int, or sequence of int or dimensions
        ``x.shape`` has as many rows as the batch.
    value : number or bool
    dtype : str, type or numpy.dtype, optional
        By default the precision of the network.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError, ValueError
        If the value does not fit the type.
    """
    shape = (shape,) if hasattr(shape, "__index__") else shape
    return ops.constant(value, dtype, shape, name)


@public
def zeros(shape, dtype=None, name: str | None = None) -> Tensor:
    """Return a tensor of zeros.

    Parameters
    ----------
    shape : int, or sequence of int or dimensions
        ``x.shape`` has as many rows as the batch.
    dtype : str, type or numpy.dtype, optional
        By default the precision of the network.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
    """
    return full(shape, 0, dtype, name)


@public
def ones(shape, dtype=None, name: str | None = None) -> Tensor:
    """Return a tensor of ones.

    Parameters
    ----------
    shape : int, or sequence of int or dimensions
        ``x.shape`` has as many rows as the batch.
    dtype : str, type or numpy.dtype, optional
        By default the precision of the network.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
    """
    return full(shape, 1, dtype, name)


@public
def full_like(a: Tensor, value, dtype=None, name: str | None = None) -> Tensor:
    """Return a tensor filled with one number, shaped as another.

    Parameters
    ----------
    a : Tensor
    value : number or bool
    dtype : str, type or numpy.dtype, optional
        By default that of `a`.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError, ValueError
        If the value does not fit the type.
    """
    check_tensor(a, "full_like", name)
    return full(a.shape, value, a.dtype if dtype is None else dtype, name)


@public
def zeros_like(a: Tensor, dtype=None, name: str | None = None) -> Tensor:
    """Return a tensor of zeros, shaped as another.

    Parameters
    ----------
    a : Tensor
    dtype : str, type or numpy.dtype, optional
        By default that of `a`.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
    """
    return full_like(a, 0, dtype, name)


@public
def ones_like(a: Tensor, dtype=None, name: str | None = None) -> Tensor:
    """Return a tensor of ones, shaped as another.

    Parameters
    ----------
    a : Tensor
    dtype : str, type or numpy.dtype, optional
        By default that of `a`.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
    """
    return full_like(a, 1, dtype, name)


@also("range")
def arange(start, stop=None, step=1, dtype=None, name: str | None = None) -> Tensor:
    """Return numbers at equal steps.

    Parameters
    ----------
    start, stop : number
        From `start`, below `stop`; one number alone is the stop, and may be a dimension
        such as ``x.shape[0]``.
    step : number, default=1
    dtype : str, type or numpy.dtype, optional
        By default i64 for whole numbers, else the precision of the network.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of rank 1

    Raises
    ------
    ValueError
        If the step is 0 or leads away from `stop`.
    """
    if stop is None:
        start, stop = 0, start
    numbers = (start, stop, step)
    whole = not any(isinstance(n, (float, np.floating)) for n in numbers)
    dtype = dtype_of(("i64" if whole else None) if dtype is None else dtype, "arange")
    if whole and (start, step) == (0, 1):
        count = stop
    elif step == 0 or (stop - start) * step < 0:
        raise ValueError(
            f"[arange {name or 'arange'}] steps of {step} from {start} do not reach "
            f"{stop}"
        )
    else:
        count = math.ceil((stop - start) / step)
    places = ops.iota(count, dtype if dtype in ("i32", "i64") else "i64")
    places = ops.cast(places, dtype)
    if step != 1:
        places = places * step
    if start != 0:
        places = places + start
    return places if name is None else ops.identity(places, name)


@public
def eye(n: int, m: int | None = None, dtype=None, name: str | None = None) -> Tensor:
    """Return a matrix with ones on its diagonal, zeros elsewhere.

    Parameters
    ----------
    n : int
        Its rows.
    m : int, optional
        Its columns, as many by default.
    dtype : "f32" or "f64", optional
        By default the precision of the network.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of shape [n, m]
    """
    rows = ops.iota(operator.index(n))
    return ops.one_hot(rows, n if m is None else m, dtype=dtype, name=name)


@public
def tril(a: Tensor, k: int = 0, name: str | None = None) -> Tensor:
    """Return matrices with zeros above a diagonal.

    Parameters
    ----------
    a : Tensor of shape [..., n, m]
    k : int, default=0
        The diagonal up to which elements are kept: 0 the main one, 1 the one above.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        As `a`.

    Raises
    ------
    ValueError
        If `a` has fewer than two axes.
    """
    return ops.where(_below(a, k, "tril", name), a, _zero(a), name)


@public
def triu(a: Tensor, k: int = 0, name: str | None = None) -> Tensor:
    """Return matrices with zeros below a diagonal.

    Parameters
    ----------
    a : Tensor of shape [..., n, m]
    k : int, default=0
        The diagonal from which elements are kept: 0 the main one, 1 the one above.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        As `a`.

    Raises
    ------
    ValueError
        If `a` has fewer than two axes.
    """
    return ops.where(_below(a, k - 1, "triu", name), _zero(a), a, name)


def _zero(a: Tensor):
    return False if a.dtype == "bool" else 0


def _below(a: Tensor, k: int, op: str, name: str | None) -> Tensor:
    """Return whether places of the last two axes lie on or below the k-th diagonal."""
    check_tensor(a, op, name)
    if a.rank < 2:
        raise ValueError(
            f"[{op} {name or op}] needs at least two axes, a is {type_text(*a.type)}"
        )
    rows, columns = (ops.iota(size, "i64") for size in a.shape[-2:])
    return ops.less_equal(columns, ops.reshape(rows, (-1, 1)) + operator.index(k))
