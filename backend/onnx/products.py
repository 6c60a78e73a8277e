"""Products and convolutions as ONNX nodes; images are turned to channels first."""

from __future__ import annotations

from slimlearn.backend.graph import Tensor
from slimlearn.backend.onnx.reducing import reduced
from slimlearn.backend.onnx.registry import converts, refusal
from slimlearn.backend.ops.windows import pad_widths


def channels_first(writer, x: str, axes: int) -> str:
    """Return [rows, …, channels] as [rows, channels, …]."""
    return writer.transpose(x, [0, axes + 1, *range(1, axes + 1)])


def channels_last(writer, x: str, axes: int, wish: str) -> str:
    """Return [rows, channels, …] as [rows, …, channels]."""
    return writer.transpose(x, [0, *range(2, axes + 2), 1], wish)


def pads_of(attributes) -> list[int]:
    """Return the padding as ONNX has it: before all axes, then behind them."""
    before, behind = zip(*pad_widths(attributes))
    return [*before, *behind]


def finished(writer, node, y: str, operands) -> list[str]:
    """Return what the node's region makes of its product, if it has one."""
    if not node.regions:
        return [y]
    return writer.inline(node.regions[0], [y, *operands])


def _swapped(writer, x: str, tensor: Tensor) -> str:
    rank = tensor.rank
    return writer.transpose(x, [*range(rank - 2), rank - 1, rank - 2])


@converts("matmul")
def matmul(writer, node, operands):
    a, b, *further = operands
    a, b = writer.rounded(a), writer.rounded(b)
    if node.attributes["transpose_a"]:
        a = _swapped(writer, a, node.operands[0])
    if node.attributes["transpose_b"]:
        b = _swapped(writer, b, node.operands[1])
    y = writer.add("MatMul", a, b, wish=node.results[0].name)
    return finished(writer, node, y, further)


@converts("csr_matmul")
def csr_matmul(writer, node, operands):
    # ONNX Runtime has no sparse rows: X is dense there.
    a, b, *further = operands
    y = writer.add("MatMul", a, b, wish=node.results[0].name)
    return finished(writer, node, y, further)


def _convolved(writer, node, x: str, filters: str, wish=None) -> str:
    """Return a convolution's result with channels first."""
    attributes = node.attributes
    axes = len(attributes["strides"])
    x = channels_first(writer, writer.rounded(x), axes)
    weights = writer.transpose(writer.rounded(filters), [axes + 1, axes, *range(axes)])
    return writer.add(
        "Conv",
        x,
        weights,
        wish=wish,
        strides=attributes["strides"],
        dilations=attributes["dilations"],
        pads=pads_of(attributes),
        group=attributes["groups"],
    )


@converts("convolution")
def convolution(writer, node, operands):
    x, filters, *further = operands
    y = _convolved(writer, node, x, filters)
    axes = len(node.attributes["strides"])
    y = channels_last(writer, y, axes, node.results[0].name)
    return finished(writer, node, y, further)


@converts("pooled_convolution")
def pooled_convolution(writer, node, operands):
    x, filters, *bias = operands
    y = _convolved(writer, node, x, filters)
    if bias:
        y = writer.add("Add", y, writer.add("Unsqueeze", *bias, writer.ints(1, 2)))
    if node.attributes["relu"]:
        y = writer.add("Relu", y)
    # Windows are apart: [rows, channels, h, p, w, q] as [rows, h, w, channels, p·q].
    (p, q), (_, h, w, channels) = node.attributes["pool"], node.results[0].shape
    ends, axes = writer.ints(h * p, w * q), writer.ints(2, 3)
    y = writer.add("Slice", y, writer.ints(0, 0), ends, axes)
    y = writer.add("Reshape", y, writer.ints(-1, channels, h, p, w, q))
    y = writer.transpose(y, [0, 2, 4, 1, 3, 5])
    y = writer.add("Reshape", y, writer.ints(-1, h, w, channels, p * q))
    largest, place = node.results
    found = reduced(writer, "ReduceMax", y, [-1], False, largest.name)
    at = writer.add("ArgMax", y, axis=-1, keepdims=0)
    return [found, writer.cast(at, place.dtype, place.name)]


@converts("convolution_input_grad")
def transposed_convolution(writer, node, operands):
    d, filters, *further = operands
    attributes = node.attributes
    region = node.regions[0].parameters[0] if node.regions else None
    wanted = (node.results[0] if region is None else region).shape
    axes = len(attributes["strides"])
    given, kernel = node.operands[0].shape[1:-1], node.operands[1].shape[:axes]
    strides, dilations = attributes["strides"], attributes["dilations"]
    rest = []
    for axis, (before, behind) in enumerate(pad_widths(attributes)):
        sizes = given[axis], wanted[axis + 1]
        if not all(isinstance(size, int) for size in sizes):
            raise refusal(node, "its image has no fixed size: give image_shape")
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        whole = strides[axis] * (given[axis] - 1) + reach - before - behind
        rest.append(wanted[axis + 1] - whole)
    d = channels_first(writer, writer.rounded(d), axes)
    weights = writer.transpose(writer.rounded(filters), [axes + 1, axes, *range(axes)])
    y = writer.add(
        "ConvTranspose",
        d,
        weights,
        strides=strides,
        dilations=dilations,
        pads=pads_of(attributes),
        output_padding=rest,
        group=attributes["groups"],
    )
    y = channels_last(writer, y, axes, node.results[0].name)
    return finished(writer, node, y, further)
