"""What moves elements: shapes, slices, tables and numbered places, as ONNX nodes."""

from __future__ import annotations

from slimlearn.backend.onnx.registry import converts
from slimlearn.backend.onnx.sources import positions, repeated


@converts("reshape")
def reshape(writer, node, operands):
    result = node.results[0]
    symbolic = [size for size in result.shape if not isinstance(size, int)]
    if len(symbolic) <= 1 and 0 not in result.shape:
        shape = writer.ints(*(s if isinstance(s, int) else -1 for s in result.shape))
        return [writer.add("Reshape", *operands, shape, wish=result.name)]
    shape = writer.shape(result.shape)
    return [writer.add("Reshape", *operands, shape, wish=result.name, allowzero=1)]


@converts("transpose")
def transpose(writer, node, operands):
    perm = node.attributes["perm"]
    return [writer.transpose(*operands, perm, node.results[0].name)]


@converts("broadcast")
def broadcast(writer, node, operands):
    result = node.results[0]
    shape = writer.shape(result.shape)
    return [writer.add("Expand", *operands, shape, wish=result.name)]


@converts("concat")
def concat(writer, node, operands):
    axis, name = node.attributes["axis"], node.results[0].name
    return [writer.add("Concat", *operands, wish=name, axis=axis)]


@converts("slice")
def slice_(writer, node, operands):
    numbers = (writer.ints(node.attributes[key]) for key in ("start", "stop", "axis"))
    return [writer.add("Slice", *operands, *numbers, wish=node.results[0].name)]


@converts("pad")
def pad(writer, node, operands):
    result, attributes = node.results[0], node.attributes
    widths = [0] * (2 * result.rank)
    widths[attributes["axis"]] = attributes["before"]
    widths[result.rank + attributes["axis"]] = attributes["after"]
    zero = writer.number(0, result.dtype)
    return [writer.add("Pad", *operands, writer.ints(*widths), zero, wish=result.name)]


@converts("gather")
def gather(writer, node, operands):
    return [writer.add("Gather", *operands, wish=node.results[0].name, axis=0)]


@converts("scatter_add")
def scatter_add(writer, node, operands):
    ids, updates = operands
    result = node.results[0]
    zeros = repeated(writer, 0, *result.type, "zeros")
    places = writer.add("Unsqueeze", writer.cast(ids, "i64"), writer.ints(-1))
    return [
        writer.add(
            "ScatterND", zeros, places, updates, wish=result.name, reduction="add"
        )
    ]


def is_place(writer, ids: str, depth) -> str:
    """Return for each number and each place whether it is that one: [..., depth]."""
    ids = writer.add("Unsqueeze", writer.cast(ids, "i64"), writer.ints(-1))
    return writer.add("Equal", ids, positions(writer, depth))


@converts("one_hot")
def one_hot(writer, node, operands):
    result, attributes = node.results[0], node.attributes
    at = is_place(writer, *operands, result.shape[-1])
    on, off = (
        writer.number(attributes[key], result.dtype)
        for key in ("on_value", "off_value")
    )
    return [writer.add("Where", at, on, off, wish=result.name)]


@converts("csr_one_hot")
def csr_one_hot(writer, node, operands):
    result = node.results[0]
    at = is_place(writer, *operands, result.shape[-1])
    return [writer.cast(at, result.dtype, result.name)]
