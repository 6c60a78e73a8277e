"""A function of a program, written into an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from slimlearn.backend.graph import Model

# Registers the converters.
from slimlearn.backend.onnx import (  # noqa: F401
    elementwise,
    products,
    reducing,
    regions,
    shaping,
    sources,
    windows,
)
from slimlearn.backend.program import Program

__all__ = ["write_function"]


def write_function(
    writer,
    program: Program,
    function: str,
    inputs: Mapping[str, tuple],
    hypers=None,
    model: Model | None = None,
) -> dict:
    """Write a function's nodes and the parameters that it reads.

    Parameters
    ----------
    writer : Writer
    program : Program
    function : str
    inputs : mapping of str to (str, str)
        Names of values of the graph, and their types in the program's words, by
        sources of the program.
    hypers : mapping of str to float, optional
        Run-time numbers that replace those of the program.
    model : Model, optional
        Has the function, with declarations of the program's; the program's own model by
        default.

    Returns
    -------
    dict of str to str
        Names in the graph by the names of the function's values; what it returns among
        them.

    Raises
    ------
    Unsupported
        If an op has no form in ONNX.
    """
    model = program.model if model is None else model
    graph = model.functions[function]
    writer.inputs, writer.compute = dict(inputs), model.compute
    arrays = {**program.weights, **program.states}
    read = {v for node in graph.needed() for v in node.operands}
    for declaration in model.declarations.values():
        if declaration not in read and declaration not in graph.returns:
            continue
        name, array = declaration.name, arrays.get(declaration.name)
        if array is None:
            array = np.float64((hypers or {}).get(name, declaration.value))
        array = np.asarray(array, writer.numpy_type(declaration.dtype))
        writer.values[declaration] = writer.constant(array, name=name)
    writer.write(graph)
    return {
        value.name: writer.values[value]
        for value in graph.values.values()
        if value in writer.values
    }
