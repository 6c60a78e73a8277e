"""Regions built from functions: captured values, and what nobody uses."""

from collections.abc import Callable, Sequence

from slimlearn.backend.graph.function import Graph, inside
from slimlearn.backend.graph.names import absolute_scope
from slimlearn.backend.graph.tensor import Tensor


def build_region(
    body: Callable, name: str, outer: Graph, scope: str, parameters: Sequence = ()
) -> Graph:
    """Return a region of what `body` builds, which yields what `body` returns.

    Parameters
    ----------
    body : callable
        From the region's own parameters to a sequence of tensors.
    name : str
        What errors call the region.
    outer : Graph
        The graph of the node that will hold it.
    scope : str
        The full name scope of what is built.
    parameters : sequence of (name, dtype, shape), optional
        Those before what `body` captures.
    """
    region = Graph(name, outer=outer, scope=scope)
    own = [region.add_parameter(*parameter) for parameter in parameters]
    with inside(region), absolute_scope(scope):
        region.returns = [region.own(v, f"{name}: returned") for v in body(*own)]
    return region


def share_parameters(regions: Sequence[Graph], own: int = 0) -> list[Tensor]:
    """Give all regions a parameter for whatever one of them captured, in one order.

    These come after the first `own` of each.

    Returns
    -------
    list of Tensor
        The values of the outer graph that the parameters stand for.
    """
    values = list(dict.fromkeys(value for r in regions for value in r.captured))
    for region in regions:
        captured = [region.own(value, region.name) for value in values]
        region.parameters = [*region.parameters[:own], *captured]
    return values


def drop_unused(region: Graph) -> set[Tensor]:
    """Drop the nodes that the region's yields do not need; return what is read."""
    read, kept = set(region.returns), []
    for node in reversed(region.nodes):
        if not read.isdisjoint(node.results):
            read.update(node.operands)
            kept.append(node)
    region.nodes = kept[::-1]
    return read
