"""One run of one function on one batch."""

import dataclasses

import numpy as np

from slimlearn.backend.graph import NUMPY_TYPES, Graph, Model, Node, Tensor, is_symbolic
from slimlearn.backend.ragged import Ragged
from slimlearn.backend.reference.context import (
    Context,
    as_array,
    run_nodes,
    status_text,
    stored,
)
from slimlearn.backend.shape import parse_dim


@dataclasses.dataclass
class Result:
    """What a function left: its returns, sets, gradients, status and who raised it.

    A gradient kept as rows is a `Rows`.
    """

    returns: tuple[np.ndarray, ...]
    sets: dict[str, np.ndarray]
    grads: dict[str, np.ndarray]
    status: int = 0
    raised_by: str | None = None  # the first op with a status, as ``[op name]``
    misplaced: tuple | None = None  # the first index out of range, as in `Context`

    def complaint(self, rows: np.ndarray) -> str:
        """Return what the status means, `rows` being the numbers of the batch."""
        text = f"{self.raised_by}: {status_text(self.status)}"
        if self.misplaced is None:
            return text
        value, size, place = self.misplaced
        row = f" in row {rows[place[0]]}" if place and place[0] < len(rows) else ""
        return f"{text}; found {value}{row}, needed are 0 to {size - 1}"


def run(
    model: Model,
    func: str,
    sources: dict,
    params: dict,
    state: dict | None = None,
    hypers: dict | None = None,
    *,
    seed: int = 0,
    step: int = 0,
    first_row: int = 0,
    slots: dict | None = None,
    on_value=None,
) -> Result:
    """Run one function of a program once, on one batch.

    Parameters
    ----------
    model : Model
    func : str
        Name of the function.
    sources : dict of str to array
        The rows of this batch, by source name.
    params, state, slots : dict of str to ndarray
        By name; read only.
    hypers : dict of str to float
    seed, step, first_row : int
        The random key and counters.
    on_value : callable, optional
        Called as ``on_value(node, array)`` with every computed result, in order.

    Returns
    -------
    Result
        Nothing is written to the given arrays; `apply` does that.
    """
    graph = _function(model, func)
    arrays = {name: as_array(array) for name, array in sources.items()}
    arrays = {n: a[:] if isinstance(a, Ragged) else a for n, a in arrays.items()}
    context = Context(arrays, seed, step, first_row, on_value, model.compute)
    values: dict[Tensor, np.ndarray] = {}
    given = {
        "param": params or {},
        "state": state or {},
        "hyper": hypers or {},
        "slot": slots or {},
    }
    for declaration in _used(model, graph):
        name, kind = declaration.name, declaration.kind
        if name not in given[kind]:
            raise ValueError(
                f"[{func}] needs {kind} {name!r}; given: {sorted(given[kind])}"
            )
        value = np.asarray(given[kind][name], NUMPY_TYPES[declaration.dtype])
        context.bind(f"{kind} {name}", declaration, value.shape)
        values[declaration] = value
    for node in graph.nodes:
        if node.op == "input":
            _bind_source(context, func, node)
    if "B" not in context.symbols and _lacks_rows(graph):
        context.symbols["B"] = _rows_of_sources(func, arrays)
    run_nodes(graph, values, context)
    return Result(
        tuple(values[value] for value in graph.returns),
        {name: values[value] for name, value in graph.sets.items()},
        {name: values[value] for name, value in graph.grads.items()},
        context.status,
        context.raised_by,
        context.misplaced,
    )


def apply(result: Result, *groups: dict) -> None:
    """Write what a function set into the arrays of `groups` (params, state, slots)."""
    for name, value in result.sets.items():
        for group in groups:
            if name in group:
                group[name][...] = value


def first_nonfinite(model: Model, func: str, *arguments, **keywords) -> str | None:
    """Return the first op, as ``[op name]``, whose result is infinite or NaN.

    Takes the arguments of `run`; None if all values are finite.
    """
    found: list[str] = []

    def scan(node, array):
        array = stored(array)
        if not found and array.dtype.kind == "f" and not np.isfinite(array).all():
            found.append(f"[{node.op} {node.results[0].name}]")

    run(model, func, *arguments, on_value=scan, **keywords)
    return found[0] if found else None


def _function(model: Model, func: str) -> Graph:
    if func not in model.functions:
        raise ValueError(
            f"the program has no function {func!r}; it has {sorted(model.functions)}"
        )
    return model.functions[func]


def _used(model: Model, graph: Graph):
    """Return the declarations that the function reads, in order of declaration."""
    read = {operand for node in graph.nodes for operand in node.operands}
    read.update(graph.returns, graph.sets.values(), graph.grads.values())
    return [d for d in model.declarations.values() if d in read]


def _lacks_rows(graph: Graph) -> bool:
    """Return whether a value has rows or computes with their number."""
    return any(
        (node.op == "extent" and is_symbolic((parse_dim(node.attributes["dim"]),), "B"))
        or any(is_symbolic(result.shape, "B") for result in node.results)
        for node in graph.walk()
    )


def _rows_of_sources(func: str, arrays: dict[str, np.ndarray]) -> int:
    """Return how many rows there are, where a function reads no source by rows."""
    rows = {name: array.shape[0] for name, array in arrays.items() if array.ndim}
    if not rows:
        raise ValueError(
            f"[{func}] has rows, but reads no source: give any source, so that their "
            "number is known"
        )
    if len(set(rows.values())) > 1:
        raise ValueError(f"sources differ in rows: {rows}")
    return next(iter(rows.values()))


def _bind_source(context: Context, func: str, node: Node) -> None:
    source = node.attributes["source"]
    if source not in context.sources:
        raise ValueError(
            f"[{func}] needs source {source!r}; given: {sorted(context.sources)}"
        )
    shape = context.sources[source].shape
    columns = node.attributes.get("columns")
    if columns is not None:
        if len(shape) != 2 or columns[1] > shape[1]:
            raise ValueError(
                f"[input {node.results[0].name}] columns {columns[0]}:{columns[1]} "
                f"of source {source!r}, which has shape {shape}"
            )
        shape = (shape[0], columns[1] - columns[0])
    context.bind(f"input {node.results[0].name}", node.results[0], shape)
