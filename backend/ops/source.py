"""Values that come from nowhere: constants, inputs, sizes, positions."""

import operator

import numpy as np

from slimlearn.backend.graph import (
    FLOATS,
    INTEGERS,
    Tensor,
    current_graph,
    is_symbolic,
    storage_of,
    type_text,
)
from slimlearn.backend.op import (
    Op,
    Refusal,
    advice,
    check_count,
    check_shape,
    dtype_of,
    emit,
    internal,
    public,
    refuse_unless,
    takes,
    target,
    value_text,
)
from slimlearn.backend.shape import B, Dim, as_dim, evaluate, parse_dim

_INTEGER_RANGE = {"i32": 2**31, "i64": 2**63}


class Constant(Op):
    """An array filled with one value."""

    name = "constant"
    in_tape = True
    attributes = takes(value=object)

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 0)
        dtype, _ = target(declared)
        value = attributes["value"]
        wanted = float if dtype in FLOATS else bool if dtype == "bool" else int
        refuse_unless(
            type(value) is wanted, f"value is {value!r}, needs a {wanted.__name__}"
        )
        if wanted is int:
            limit = _INTEGER_RANGE.get(dtype)
            fits = -limit <= value < limit if limit else 0 <= value < 256
            refuse_unless(fits, f"value {value} does not fit {dtype}")
        return [declared[0]]

    def reference(self, context, arrays, node):
        dtype, shape = context.result(node)
        return [np.full(shape, node.attributes["value"], dtype)]


class ConstantList(Op):
    """A one-dimensional array of given numbers."""

    name = "constant_list"
    attributes = takes(values=list)

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 0)
        dtype, shape = target(declared)
        values = attributes["values"]
        refuse_unless(dtype in FLOATS | INTEGERS, f"{dtype} is no type for a list")
        wanted = float if dtype in FLOATS else int
        refuse_unless(
            all(type(v) is wanted for v in values),
            f"values of {dtype} must be of type {wanted.__name__}",
        )
        if wanted is int:
            limit = _INTEGER_RANGE[dtype]
            fits = all(-limit <= v < limit for v in values)
            refuse_unless(fits, f"a value does not fit {dtype}")
        refuse_unless(shape == (len(values),), f"{len(values)} values, result {shape}")
        return [declared[0]]

    def reference(self, context, arrays, node):
        dtype, _ = context.result(node)
        return [np.array(node.attributes["values"], dtype)]


class Input(Op):
    """Rows of a named source, converted to the declared type."""

    name = "input"
    sparse = True
    attributes = takes(source=str, columns=list)
    optional = frozenset(("columns",))

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 0)
        columns = attributes.get("columns")
        if declared and storage_of(declared[0][0]):
            check_rows(declared[0], columns)
            return [declared[0]]
        _, shape = target(declared)
        if columns is not None:
            ok = (
                len(columns) == 2
                and len(shape) == 2
                and 0 <= columns[0] < columns[1]
                and shape[1] == columns[1] - columns[0]
            )
            refuse_unless(
                ok,
                f"columns={columns} needs 0 <= start < stop and a result "
                f"[B,stop-start], the result is {type_text(*declared[0])}",
            )
        return [declared[0]]

    def reference(self, context, arrays, node):
        return [context.source(node)]


def check_rows(type_: tuple, columns) -> None:
    """Refuse an input that is neither dense nor sparse rows."""
    dtype, shape = type_
    refuse_unless(
        dtype in ("csr f32", "csr f64")
        and len(shape) == 2
        and shape[0] == B
        and type(shape[1]) is int
        and columns is None,
        "sparse rows are csr f32[B,n] or csr f64[B,n] with all columns, not "
        f"{type_text(*type_)}",
    )
    refuse_unless(
        shape[1] < 2**31,
        f"sparse rows have at most 2147483647 columns, not {shape[1]}",
    )


class Extent(Op):
    """The value of a dimension as a number."""

    name = "extent"
    in_tape = True
    attributes = takes(dim=str)

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 0)
        dtype, shape = target(declared)
        refuse_unless(dtype in FLOATS and shape == (), "the result is f32[] or f64[]")
        try:
            dim = parse_dim(attributes["dim"])
        except ValueError as error:
            raise Refusal(str(error)) from None
        refuse_unless(
            str(dim) == attributes["dim"], f"spell the dimension as {str(dim)!r}"
        )
        return [declared[0]]

    def reference(self, context, arrays, node):
        dim = parse_dim(node.attributes["dim"])
        return [np.array(evaluate(dim, context.symbols))]

    def row_local(self, node):
        dim = parse_dim(node.attributes["dim"])
        return dim.__class__ is int or "B" not in dim.symbols


class Iota(Op):
    """0, 1, 2, … along the leading axis."""

    name = "iota"

    def infer(self, types, attributes, declared=None, regions=()):
        check_count(types, 0)
        dtype, shape = target(declared)
        refuse_unless(
            dtype in INTEGERS and len(shape) == 1,
            f"the result is i32[n] or i64[n], not {type_text(dtype, shape)}",
        )
        return [declared[0]]

    def reference(self, context, arrays, node):
        dtype, shape = context.result(node)
        return [np.arange(shape[0], dtype=dtype)]

    def row_local(self, node):
        return not is_symbolic(node.results[0].shape, "B")


@public
def constant(value, dtype=None, shape=(), name: str | None = None) -> Tensor:
    """Return a tensor filled with one number.

    Parameters
    ----------
    value : number or bool
    dtype : str, optional
        By default the precision of the network.
    shape : sequence of int or dimensions
        A scalar by default.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError
        If the value is no number, or no whole one where the type wants it.
    ValueError
        If it does not fit the type.
    """
    dtype = dtype_of(dtype, "constant", name)
    value = _convert(value, dtype)
    shape = check_shape(shape, "constant", name)
    return emit("constant", (), {"value": value}, [(dtype, shape)], name)


@public
def constant_list(values, dtype=None, name: str | None = None) -> Tensor:
    """Return a one-dimensional tensor of given numbers.

    Parameters
    ----------
    values : sequence of numbers
    dtype : str, optional
        By default i32 for whole numbers (Python's or NumPy's integers), else the
        precision of the network.
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        `array` takes numbers of any shape.

    Raises
    ------
    TypeError, ValueError
        If a value does not fit the type.
    """
    values = list(values)
    if dtype is None and all(isinstance(v, (int, np.integer)) for v in values):
        dtype = "i32"
    dtype = dtype_of(dtype, "constant_list", name)
    values = [_convert(value, dtype) for value in values]
    return emit(
        "constant_list", (), {"values": values}, [(dtype, (len(values),))], name
    )


@internal
def input_(
    source: str,
    shape,
    dtype: str | None = None,
    columns=None,
    name: str | None = None,
) -> Tensor:
    """Return rows of the source `source`.

    Parameters
    ----------
    source : str
        Its name, such as "X".
    shape : sequence of int or Dim
        Of the result: a source of shape (n, d) gives ``(B, d)``.
    dtype : str, optional
        What the source's numbers are converted to, by default the network's precision;
        "csr f32" or "csr f64" for the rows of a sparse matrix.
    columns : (start, stop), optional
        A range of a two-dimensional source's columns.
    name : str, optional
        Of the tensor; by default the source's.
    """
    attributes = {"source": source}
    if columns is not None:
        attributes = {"columns": [int(c) for c in columns], "source": source}
    if name is None:
        name = "".join(
            c if c.isascii() and (c.isalnum() or c in "_./:@-") else "_" for c in source
        )
    shape, dtype = check_shape(shape, "input", name), dtype or current_graph().precision
    return emit("input", (), attributes, [(dtype, shape)], name)


@public
def extent(dim: int | Dim, dtype="f64", name: str | None = None) -> Tensor:
    """Return a dimension as a number, such as the rows of the batch.

    Parameters
    ----------
    dim : int or dimension
        Such as ``x.shape[0]``.
    dtype : "f32" or "f64", default="f64"
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor
        A scalar that is known when the network runs.

    Raises
    ------
    ValueError
        If the type is not floating.
    """
    dtype = dtype_of(dtype, "extent", name)
    return emit("extent", (), {"dim": str(as_dim(dim))}, [(dtype, ())], name)


@public
def iota(size: int | Dim, dtype="i32", name: str | None = None) -> Tensor:
    """Return 0, 1, …, size - 1.

    Parameters
    ----------
    size : int or dimension
    dtype : "i32" or "i64", default="i32"
    name : str, optional
        Of the result, inside the current scope.

    Returns
    -------
    Tensor of shape [size]

    Raises
    ------
    ValueError
        If the type is not one of whole numbers.
    """
    dtype = dtype_of(dtype, "iota", name)
    return emit("iota", (), {}, [(dtype, (as_dim(size),))], name)


@internal
def as_tensor(value, dtype: str) -> Tensor:
    """Return `value` itself if a tensor, or the number as a scalar of `dtype`.

    Equal numbers of one function share their constant.
    """
    if isinstance(value, Tensor):
        return value
    value = _convert(value, dtype)
    graph = current_graph()
    key = (dtype, repr(value))
    known = graph.constants.get(key)
    if known is None:
        node = graph.append("constant", (), {"value": value}, ((dtype, ()),))
        known = graph.constants[key] = node.results[0]
    return known


def is_number(value) -> bool:
    """Return whether `value` is a plain number (Python's or NumPy's scalar)."""
    return isinstance(value, (int, float, np.number, np.bool_))


def _convert(value, dtype):
    if not is_number(value):
        raise TypeError(
            f"needs a tensor or a number, got {value_text(value)}{advice(value)}"
        )
    if dtype in FLOATS:
        return float(value)
    if dtype == "bool":
        return bool(value)
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"{value!r} is no whole number, the tensor is {dtype}: "
            "cast(tensor, 'f32') before mixing it with fractions"
        ) from None
