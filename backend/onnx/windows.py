"""Pooling as ONNX nodes."""

from __future__ import annotations

import numpy as np

from slimlearn.backend.onnx.products import channels_first, channels_last, pads_of
from slimlearn.backend.onnx.registry import converts


def _padded(writer, x: str, attributes, value: float) -> tuple[str, list[int]]:
    """Return the map and its padding; what is wider than a window is written out."""
    pads, axes = pads_of(attributes), len(attributes["kernel"])
    if all(pad < size for pad, size in zip(pads, attributes["kernel"] * 2)):
        return x, pads
    widths = writer.ints(0, 0, *pads[:axes], 0, 0, *pads[axes:])
    return writer.add("Pad", x, widths, writer.number(value)), [0] * (2 * axes)


@converts("max_pool")
def max_pool(writer, node, operands):
    attributes = node.attributes
    axes = len(attributes["kernel"])
    x = channels_first(writer, operands[0], axes)
    lowest = float(np.finfo(writer.real).min)
    x, pads = _padded(writer, x, attributes, lowest)
    y = writer.add(
        "MaxPool",
        x,
        kernel_shape=attributes["kernel"],
        strides=attributes["strides"],
        dilations=attributes["dilations"],
        pads=pads,
    )
    if pads != pads_of(attributes):
        # Windows of padding alone give 0.
        nothing = writer.add("Equal", y, writer.number(lowest))
        y = writer.add("Where", nothing, writer.number(0.0), y)
    # The places of the largest elements are read by gradients alone.
    return [channels_last(writer, y, axes, node.results[0].name), ""]


@converts("sum_pool")
def sum_pool(writer, node, operands):
    attributes = node.attributes
    kernel, axes = attributes["kernel"], len(attributes["kernel"])
    x = channels_first(writer, operands[0], axes)
    x, pads = _padded(writer, x, attributes, 0.0)
    where = {"strides": attributes["strides"], "pads": pads}
    if all(step == 1 for step in attributes["dilations"]):
        y = writer.add(
            "AveragePool", x, kernel_shape=kernel, count_include_pad=1, **where
        )
        y = writer.add("Mul", y, writer.number(float(np.prod(kernel))))
    else:
        channels = node.operands[0].shape[-1]
        ones = np.ones((channels, 1, *kernel), writer.real)
        y = writer.add(
            "Conv",
            x,
            writer.constant(ones),
            dilations=attributes["dilations"],
            group=channels,
            **where,
        )
    return [channels_last(writer, y, axes, node.results[0].name)]
