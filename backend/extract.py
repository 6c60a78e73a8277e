"""A part of a program: what some values need, from inputs or from values given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slimlearn.backend.graph import Graph, Model, Node, Tensor
from slimlearn.backend.text import print_program

__all__ = ["extract"]


def extract(
    model: Model,
    function: str,
    outputs: Sequence[str],
    feeds: Mapping[str, str] | None = None,
) -> str:
    """Write a function that computes some values of another one, and nothing else.

    All declarations stay, so the arrays of the whole program fit the part too.

    Parameters
    ----------
    model : Model
    function : str
        The function's name, which its part keeps.
    outputs : sequence of str
        Names of the values to be returned.
    feeds : mapping of str to str, optional
        Values that are read from a source instead of being computed: names of sources
        by names of values.

    Returns
    -------
    str
        The text of a program with this one function.
    """
    whole, feeds = model.functions[function], feeds or {}
    values = whole.values
    part = Graph(function, model)
    part.returns = [values[name] for name in outputs]
    needed: set[Tensor] = set(part.returns)
    for node in reversed(whole.nodes):
        if needed.isdisjoint(node.results):
            continue
        source = feeds.get(node.results[0].name)
        if source is not None:
            results = node.results
            node = Node("input", (), {"source": source})
            node.results = results
        needed.update(node.operands)
        part.nodes.append(node)
    part.nodes.reverse()
    shell = Model(model.precision, model.compute)
    shell.declarations = model.declarations
    shell.functions = {function: part}
    return print_program(shell)
