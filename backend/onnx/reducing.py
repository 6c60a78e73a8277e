"""Reductions, softmax and what is sorted, as ONNX nodes."""

from __future__ import annotations

import numpy as np

from slimlearn.backend.onnx.registry import converts

# From this version of the operators on, axes are an input of all reductions.
_AXES_AS_INPUT = 18

_REDUCTIONS = {"reduce_max": "ReduceMax", "reduce_min": "ReduceMin"}


def reduced(writer, op: str, x: str, axes, keepdims: bool, wish=None) -> str:
    """Return ONNX's reduction `op` of `x`; of no axes it is `x`."""
    if not axes:
        return x
    options = {"keepdims": int(keepdims), "wish": wish}
    if op == "ReduceSum" or writer.opset >= _AXES_AS_INPUT:
        return writer.add(op, x, writer.ints(*axes), **options)
    return writer.add(op, x, axes=list(axes), **options)


@converts("reduce_sum")
def reduce_sum(writer, node, operands):
    axes, keepdims = node.attributes["axes"], node.attributes["keepdims"]
    name = node.results[0].name
    return [reduced(writer, "ReduceSum", operands[0], axes, keepdims, name)]


@converts(*_REDUCTIONS)
def reduce_extreme(writer, node, operands):
    axes, keepdims = node.attributes["axes"], node.attributes["keepdims"]
    op, name = _REDUCTIONS[node.op], node.results[0].name
    return [reduced(writer, op, operands[0], axes, keepdims, name)]


@converts("logsumexp")
def logsumexp(writer, node, operands):
    [x], axes = operands, node.attributes["axes"]
    if not axes:
        return [x]
    largest = reduced(writer, "ReduceMax", x, axes, True)
    # Rows of -inf alone stay -inf.
    floor = writer.number(np.finfo(writer.real).min)
    largest = writer.add("Max", largest, floor)
    shares = writer.add("Exp", writer.add("Sub", x, largest))
    total = writer.add("Log", reduced(writer, "ReduceSum", shares, axes, True))
    total = writer.add("Add", total, largest)
    if not node.attributes["keepdims"]:
        total = writer.add("Squeeze", total, writer.ints(*axes))
    return [total]


@converts("argmax")
def argmax(writer, node, operands):
    result = node.results[0]
    place = writer.add("ArgMax", *operands, axis=node.attributes["axis"], keepdims=0)
    return [writer.cast(place, result.dtype, result.name)]


@converts("max_with_argmax")
def max_with_argmax(writer, node, operands):
    [x], axis = operands, node.attributes["axis"]
    largest, place = node.results
    found = reduced(writer, "ReduceMax", x, [axis], False, largest.name)
    at = writer.add("ArgMax", x, axis=axis, keepdims=0)
    return [found, writer.cast(at, place.dtype, place.name)]


@converts("top_k")
def top_k(writer, node, operands):
    k = writer.ints(node.attributes["k"])
    values, places = writer.add("TopK", operands[0], k, outputs=2, axis=-1)
    return [values, writer.cast(places, node.results[1].dtype)]


@converts("softmax")
def softmax(writer, node, operands):
    return [writer.add("Softmax", *operands, wish=node.results[0].name, axis=-1)]


@converts("log_softmax")
def log_softmax(writer, node, operands):
    return [writer.add("LogSoftmax", *operands, wish=node.results[0].name, axis=-1)]


@converts("softmax_cross_entropy")
def softmax_cross_entropy(writer, node, operands):
    logits, labels = operands
    logs = writer.add("LogSoftmax", logits, axis=-1)
    products = writer.add("Neg", writer.add("Mul", labels, logs))
    name = node.results[0].name
    return [reduced(writer, "ReduceSum", products, [-1], False, name)]


@converts("sparse_softmax_cross_entropy")
def sparse_softmax_cross_entropy(writer, node, operands):
    logits, labels = operands
    logs = writer.add("LogSoftmax", logits, axis=-1)
    last = writer.ints(-1)
    places = writer.add("Unsqueeze", labels, last)
    chosen = writer.add("GatherElements", logs, places, axis=-1)
    chosen = writer.add("Squeeze", chosen, last)
    return [writer.add("Neg", chosen, wish=node.results[0].name)]
