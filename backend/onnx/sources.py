"""Inputs, constants and sizes as ONNX."""

from __future__ import annotations

import numpy as np

from slimlearn.backend.onnx.registry import converts, refusal

# Numbers of a constant from which on it is written as one, repeated where it is read.
_MANY = 1024


@converts("input")
def input_(writer, node, operands):
    source, result = node.attributes["source"], node.results[0]
    if source not in writer.inputs:
        raise refusal(node, f"predictions read {source!r}, which is no input of X")
    name, dtype = writer.inputs[source]
    if writer.numpy_type(dtype) != writer.numpy_type(result.dtype):
        name = writer.cast(name, result.dtype)
    columns = node.attributes.get("columns")
    if columns is not None:
        begin, end = columns
        name = writer.add(
            "Slice", name, writer.ints(begin), writer.ints(end), writer.ints(-1)
        )
    writer.know_shape(name, result.shape)
    return [name]


def repeated(writer, value, dtype: str, shape, name: str) -> str:
    """Return one number in a shape."""
    fixed = all(isinstance(size, int) for size in shape)
    if fixed and np.prod(shape, dtype=float) <= _MANY:
        array = np.full(shape, value, writer.numpy_type(dtype))
        return writer.constant(array, name=name)
    return writer.add(
        "Expand", writer.number(value, dtype), writer.shape(shape), wish=name
    )


@converts("constant")
def constant(writer, node, operands):
    result = node.results[0]
    value = node.attributes["value"]
    return [repeated(writer, value, *result.type, result.name)]


@converts("constant_list")
def constant_list(writer, node, operands):
    result = node.results[0]
    values = np.array(node.attributes["values"]).astype(writer.numpy_type(result.dtype))
    return [writer.constant(values.reshape(result.shape), name=result.name)]


@converts("extent")
def extent(writer, node, operands):
    from slimlearn.backend.shape import parse_dim

    size = writer.size(parse_dim(node.attributes["dim"]))
    scalar = writer.add("Squeeze", size, writer.ints(0))
    return [writer.cast(scalar, node.results[0].dtype, node.results[0].name)]


@converts("iota")
def iota(writer, node, operands):
    result = node.results[0]
    counted = positions(writer, result.shape[0])
    return [writer.cast(counted, result.dtype, result.name)]


def positions(writer, size) -> str:
    """Return 0, 1, … size - 1 as int64."""
    end = writer.add("Squeeze", writer.size(size), writer.ints(0))
    zero, one = writer.constant(0, np.int64), writer.constant(1, np.int64)
    return writer.add("Range", zero, end, one)
