"""What a fitted network computes, by name: layers, end points, single values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from slimlearn.backend.graph import (
    DTYPES,
    Model,
    Parameter,
    Tensor,
    is_symbolic,
    type_text,
)
from slimlearn.backend.program import Program
from slimlearn.backend.shape import B

__all__ = ["FUNCTION", "before_last", "find", "kept_types", "layers_of", "table"]

FUNCTION = "predict"


class Layer(NamedTuple):
    """A row of the table of layers.

    Attributes
    ----------
    name : str
        The layer's scope, or the name of an input.
    output : Tensor or None
        What it computes last; None where it only holds numbers.
    parameters : int
        How many numbers are trained.
    """

    name: str
    output: Tensor | None
    parameters: int


def layers_of(program: Program) -> list[Layer]:
    """The layers of the predict function in their order, then those beside it."""
    model = program.model
    counts: dict[str, int] = {}
    for tensor in _values(model):
        if tensor.node.op == "input":
            counts[tensor.name] = 0
        elif "/" in tensor.name:
            counts[_scope(tensor)] = 0
    for name, view in program.weights.items():
        layer = name.rpartition("/")[0]
        counts[layer] = counts.get(layer, 0) + view.size
    outputs = _outputs(model)
    return [Layer(k, outputs.get(k), count) for k, count in counts.items()]


def table(program: Program) -> list[tuple[str, str, str]]:
    """Name, type of the output and number of parameters of each layer, and a total."""
    layers = layers_of(program)
    rows = [
        (name, "" if output is None else _shape(output, program.model), f"{count:,}")
        for name, output, count in layers
    ]
    return [*rows, ("total", "", f"{sum(layer.parameters for layer in layers):,}")]


def _shape(tensor: Tensor, model: Model) -> str:
    """A shape as people write it, N×H×W×C; its type where it is another."""
    kind = tensor.dtype if tensor.dtype != model.precision else ""
    sizes = "×".join(str(size).replace("B", "N") for size in tensor.shape)
    return f"{kind} {sizes}".strip()


def find(program: Program, name: str, end_points: Mapping[str, str]) -> Tensor:
    """The value that a name stands for.

    Parameters
    ----------
    program : Program
    name : str
        A value's own name, an end point, or a layer's scope: then its output.
    end_points : mapping of str to str
        Names of values by those that the network function gave them.

    Raises
    ------
    ValueError
        If there is no such value, or it has not one row for each row of X.
    """
    model = program.model
    tensor = model.functions[FUNCTION].values.get(end_points.get(name, name))
    if tensor is None:
        tensor = _outputs(model).get(name)
    if tensor is None:
        layers = [
            layer.name for layer in layers_of(program) if layer.output is not None
        ]
        points = f"; end points: {', '.join(end_points)}" if end_points else ""
        raise ValueError(
            f"the network has no layer {name!r}. Layers: {', '.join(layers)}{points}. "
            "summary() shows them; print(program_) shows all values, which can be "
            "named too"
        )
    if not _has_rows(tensor):
        raise ValueError(
            f"{tensor.name} is {type_text(*tensor.type)}: it has not one dense row for "
            "each row of X [B, …], so it is no activation: choose another value"
        )
    return tensor


def before_last(program: Program) -> Tensor:
    """What the last layer with weights reads: the features that a network found.

    Raises
    ------
    ValueError
        If that is X itself.
    """
    for node in reversed(program.model.functions[FUNCTION].nodes):
        weights = [o for o in node.operands if isinstance(o, Parameter) and o.rank >= 2]
        if weights:
            found = _read_by(program.model, _scope(weights[0]))
            if found is not None:
                return found
            break
    raise ValueError(
        "the network has no layer before its last one: name a layer, or give it hidden "
        "layers"
    )


def kept_types(precision: str) -> list[str]:
    """The float types of X in which a layer's values come out too, for the tags."""
    return ["float64" if precision == "float64" else "float32"]


def _values(model: Model):
    for node in model.functions[FUNCTION].nodes:
        yield from node.results


def _scope(tensor: Tensor) -> str:
    return tensor.name.rpartition("/")[0]


def _has_rows(tensor: Tensor) -> bool:
    shape = tensor.shape
    rows = bool(shape) and shape[0] == B and not is_symbolic(shape[1:], "B")
    return rows and tensor.dtype in DTYPES


def _outputs(model: Model) -> dict[str, Tensor]:
    """The last value inside each scope, with rows where there is one."""
    last: dict[str, Tensor] = {}
    rows: dict[str, Tensor] = {}
    for tensor in _values(model):
        if tensor is not tensor.node.results[0]:  # such as where a maximum was found
            continue
        found = (last, rows) if _has_rows(tensor) else (last,)
        scope = tensor.name
        while scope:
            for outputs in found:
                outputs[scope] = tensor
            scope = scope.rpartition("/")[0]
    return last | rows


def _read_by(model: Model, layer: str) -> Tensor | None:
    """What comes into a layer from others, unless it is an input of the program."""
    for tensor in _values(model):
        if _scope(tensor) != layer:
            continue
        for operand in tensor.node.operands:
            outside = not operand.name.startswith(layer + "/")
            if outside and operand.node is not None and _has_rows(operand):
                return None if operand.node.op == "input" else operand
    return None
