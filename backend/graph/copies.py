"""Nodes of one graph once more in another."""

from collections.abc import Sequence

from slimlearn.backend.graph.function import Graph
from slimlearn.backend.graph.tensor import Node, Tensor


def copy_nodes(
    source: Graph,
    target: Graph,
    values: dict[Tensor, Tensor],
    nodes: Sequence[Node] | None = None,
) -> None:
    """Append the nodes of `source` to `target`, by the same names where these are free.

    Parameters
    ----------
    source, target : Graph
    values : dict of Tensor to Tensor
        What stands in `target` for the values of `source`: its parameters to begin
        with, all that is copied in the end. Declarations stand for themselves.
    nodes : sequence of Node, optional
        Those to copy; all by default.
    """
    for node in source.nodes if nodes is None else nodes:
        operands = tuple([values.get(o, o) for o in node.operands])
        made = Node(
            *(node.op, operands, node.attributes),
            *(node.regions, node.block, node.device),
        )
        target.placed = target.placed or bool(node.device)
        results = []
        for result in node.results:
            name = target.unique_name(result.name)
            copied = Tensor(name, result.dtype, result.shape, made, target)
            values[result] = target.values[name] = copied
            results.append(copied)
        made.results = tuple(results)
        target.nodes.append(made)
    for key, constant in source.constants.items():
        if constant in values:
            target.constants.setdefault(key, values[constant])


def copy_function(source: Graph, name: str, training: bool = False) -> Graph:
    """Return a function that stands where `source` does, with values of its own.

    Attributes and regions are shared: neither changes once its node is made.
    """
    twin = Graph(name, source.model, training)
    values: dict[Tensor, Tensor] = {}
    copy_nodes(source, twin, values)
    for table in ("sets", "grads", "returns", "collections", "layers"):
        setattr(twin, table, _moved(getattr(source, table), values))
    return twin


def _moved(thing, values: dict[Tensor, Tensor]):
    """Return `thing` with the copies of its tensors, in containers of its own."""
    if isinstance(thing, Tensor):
        return values.get(thing, thing)
    if isinstance(thing, dict):
        return {key: _moved(value, values) for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return type(thing)([_moved(value, values) for value in thing])
    return thing.copy() if hasattr(thing, "copy") else thing
