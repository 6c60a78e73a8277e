"""A layer of a network as ONNX: the features that a transformer gives."""

from __future__ import annotations

from math import prod

from slimlearn.backend.extract import extract
from slimlearn.backend.onnx import write_function
from slimlearn.backend.text import parse_program
from slimlearn.estimators.onnx.heads import Output
from slimlearn.estimators.tensors import FUNCTION

__all__ = ["features_of"]


def features_of(
    writer, estimator, layer: str | None, sources: dict, name: str = "variable"
) -> Output:
    """Write what a layer needs, and return its values as rows.

    Parameters
    ----------
    writer : Writer
    estimator : NetworkEstimator
    layer : str or None
        As `activations` takes it.
    sources : dict
        As `write_function` takes them.
    name : str
        Of the output.
    """
    tensor = estimator.tensor_of(layer)
    text = extract(estimator.program_.model, FUNCTION, [tensor.name])
    model = parse_program(text)
    values = write_function(writer, estimator.program_, FUNCTION, sources, model=model)
    value, width = values[tensor.name], prod(tensor.shape[1:])
    if len(tensor.shape) != 2:
        value = writer.add("Reshape", value, writer.ints(-1, width))
    if tensor.dtype not in ("f32", "f64"):
        value = writer.cast(value, "f32")
    return Output(name, value, writer.real, (width,))
