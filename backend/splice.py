"""A function of one program, inside a function of another that is being built."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from slimlearn.backend import ops
from slimlearn.backend.graph import (
    Declaration,
    Model,
    Tensor,
    copy_nodes,
    current_graph,
    current_model,
)

__all__ = ["splice"]


def splice(
    model: Model,
    function: str,
    arrays: Mapping[str, np.ndarray],
    source: Callable[[str], Tensor],
    kept: dict[str, np.ndarray],
    scope: str = "",
) -> tuple[Tensor, ...]:
    """Append the nodes that a function's results need; return these results.

    Parameters
    ----------
    model : Model
        Has the function.
    function : str
    arrays : mapping of str to ndarray
        Of the declarations that it reads.
    source : callable
        Gives what is read in the place of a source, by its name.
    kept : dict of str to ndarray
        Where arrays are put by the names that they get here, as parameters.
    scope : str
        Before these names.
    """
    graph, mine, theirs = current_graph(), current_model(), model.functions[function]
    values: dict[Tensor, Tensor] = {}
    inner = []
    for node in theirs.needed():
        for known in node.operands:
            if not isinstance(known, Declaration) or known in values:
                continue
            name, array = f"{scope}{known.name}", arrays.get(known.name)
            if array is None:
                raise ValueError(
                    f"%{known.name} is a number of the run, which no array has"
                )
            values[known] = mine.declare("param", name, known.dtype, known.shape)
            kept[name] = array
        if node.op == "input":
            [result] = node.results
            given = source(node.attributes["source"])
            values[result] = ops.cast(given, result.dtype)
        else:
            inner.append(node)
    copy_nodes(theirs, graph, values, inner)
    return tuple(values.get(value, value) for value in theirs.returns)
