"""Blocks that gradients compute anew: copies of their nodes behind a gradient.

The values inside a block are not kept from the forward pass to the backward pass; what
the block gives is, and so is what does not grow with the batch (moments of batch norm)
and what is read from outside::

    %z = conv2d(%x, …)                        kept: %x, %y
    %y = relu(%z)
    …                                         the gradient %y.g of what the block gives
    %x.again = recompute(%x, %y.g)            the memory of %x, once %y.g is there
    %z.again = conv2d(%x.again, …)
    …                                         gradients that read %z.again

`recompute` reads the gradient so that nothing can move the copies into the forward
pass, and what is computed from its result is no twin of what is computed from `%x`.
"""

from slimlearn.backend.graph import Graph, Node, Tensor, absolute_scope, is_symbolic
from slimlearn.backend.op import emit


class Remade:
    """The copies of a function's blocks, made where a gradient first enters one.

    Parameters
    ----------
    graph : Graph
    nodes : list of Node
        Of the forward pass.
    """

    def __init__(self, graph: Graph, nodes: list[Node]):
        self._graph = graph
        self._blocks: dict[object, list[Node]] = {}
        self._values: dict[object, dict[Tensor, Tensor]] = {}
        self._first = len(graph.nodes)
        self._given: set[Tensor] = set()  # read outside of their block
        for node in nodes:
            if node.block is not None:
                self._blocks.setdefault(node.block, []).append(node)
        if not self._blocks:
            return
        self._given.update(graph.returns, graph.sets.values())
        for node in nodes:
            for operand in node.operands:
                if operand.node is not None and operand.node.block is not node.block:
                    self._given.add(operand)

    def twin(self, node: Node, gradient: Tensor) -> Node:
        """Return `node` as its gradient should read it.

        Parameters
        ----------
        node : Node
            Of the forward pass.
        gradient : Tensor
            One of its results.
        """
        if node.block is None:
            return node
        values = self._values.get(node.block)
        if values is None:
            values = self._values[node.block] = self._copy(node.block, gradient)
        operands = tuple([values.get(o, o) for o in node.operands])
        made = Node(node.op, operands, node.attributes, node.regions, None, node.device)
        made.results = tuple([values.get(r, r) for r in node.results])
        return made

    def _copy(self, block: object, gradient: Tensor) -> dict[Tensor, Tensor]:
        """Append the nodes of a block; return the new values by the old ones."""
        graph, values, device = self._graph, {}, self._graph.device
        inside = {result for node in self._blocks[block] for result in node.results}
        with absolute_scope(""):
            for node in self._blocks[block]:
                wanted = [r for r in node.results if self._is_remade(r)]
                if not wanted or node.op == "input":
                    continue
                graph.device = node.device
                for operand in node.operands:
                    outer = operand.node is not None and operand not in inside
                    if outer and operand not in values and grows(operand):
                        values[operand] = emit(
                            "recompute",
                            (operand, gradient),
                            wish=f"{operand.name}.again",
                        )
                operands = tuple([values.get(o, o) for o in node.operands])
                made = graph.append(
                    node.op,
                    operands,
                    node.attributes,
                    [r.type for r in node.results],
                    f"{node.results[0].name}.again",
                    node.regions,
                )
                pairs = zip(node.results, made.results, strict=True)
                values.update((old, new) for old, new in pairs if old in wanted)
        graph.device = device
        return values

    def _is_remade(self, value: Tensor) -> bool:
        return grows(value) and value not in self._given

    def drop_unused(self) -> None:
        """Drop copies that no gradient came to read."""
        if not self._values:
            return
        graph = self._graph
        copies = {
            new.node for values in self._values.values() for new in values.values()
        }
        read, kept = {*graph.returns, *graph.sets.values(), *graph.grads.values()}, []
        for node in reversed(graph.nodes[self._first :]):
            if node in copies and read.isdisjoint(node.results):
                for result in node.results:
                    del graph.values[result.name]
                continue
            read.update(node.operands)
            kept.append(node)
        graph.nodes[self._first :] = kept[::-1]


def grows(value: Tensor) -> bool:
    """Return whether a value grows with the batch."""
    return is_symbolic(value.shape, "B")
