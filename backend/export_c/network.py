"""A program of one function, and the arrays that it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from slimlearn.backend.engine.native import native
from slimlearn.backend.graph import NUMPY_TYPES, Graph, Model, Node, Tensor
from slimlearn.backend.text import parse_program, print_program

__all__ = ["Network", "declare", "nodes_of", "optimized", "prune", "replace"]


class Network(NamedTuple):
    """A program of one function, whose declarations are the arrays it reads."""

    model: Model
    function: str
    arrays: dict[str, np.ndarray]

    @property
    def graph(self) -> Graph:
        return self.model.functions[self.function]


def nodes_of(graph: Graph) -> Iterator[Node]:
    """The nodes of a graph and of the regions in it, innermost first."""
    for node in graph.nodes:
        for region in node.regions:
            yield from nodes_of(region)
        yield node


def declare(network: Network, name: str, array: np.ndarray, dtype: str) -> Tensor:
    """Give a network one more array."""
    declared = network.model.declare("param", name, dtype, array.shape)
    network.arrays[name] = np.ascontiguousarray(array, NUMPY_TYPES[dtype])
    return declared


def replace(graph: Graph, values: Mapping[Tensor, Tensor]) -> None:
    """Let all of a graph read other values."""
    for node in graph.nodes:
        node.operands = tuple(values.get(v, v) for v in node.operands)
    graph.returns = [values.get(v, v) for v in graph.returns]


def prune(network: Network) -> None:
    """Drop the nodes and the arrays that nothing reads."""
    graph, kept = network.graph, []
    read = set(graph.returns)
    for node in reversed(graph.nodes):
        if node.op == "input" or not read.isdisjoint(node.results):
            read.update(node.operands)
            kept.append(node)
    graph.nodes = kept[::-1]
    model = network.model
    for name in list(model.declarations):
        if model.declarations[name] not in read:
            del model.declarations[name]
            del network.arrays[name]


def optimized(model: Model, function: str) -> tuple[str, Graph]:
    """The text of a function, and what the compiler's passes make of it."""
    text = print_program(model)
    return text, parse_program(native.optimize(text, function, fixed=True)).functions[
        function
    ]
