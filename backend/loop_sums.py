"""Gradients of what all steps of a loop read, as far as they can wait for its end.

A step that multiplies by w adds aᵀg to the gradient of w. With a and g of all steps one
under the other, that is one product: as many flops, none of the sums in between, and
rows enough to fill every tile::

    dw = 0                                    a, g = […], […]
    for t: dw = dw + a[t]ᵀ g[t]       ==>     dw = aᵀ g   over T · rows

The same of biases: a sum over rows becomes one over steps and rows.
"""

from collections.abc import Iterator

from slimlearn.backend.graph import Node, Tensor
from slimlearn.backend.ops import add, matmul, moveaxis, reduce_sum, reshape
from slimlearn.backend.shape import product


class LateSums:
    """What the steps of a loop need not add up.

    Parameters
    ----------
    nodes : list of Node
        What a backward step computes.
    invariant : set of Tensor
        What is the same in all steps: as a stack it would be copies.
    """

    def __init__(self, nodes: list[Node], invariant: set[Tensor]):
        self._results = {result for node in nodes for result in node.results}
        self._invariant = invariant
        self.sums: dict[int, list[Node]] = {}  # what is added, by operand

    def take(self, i: int, slope: Tensor) -> Tensor | None:
        """Take from an operand's slope what can wait; return the rest, if any."""
        rest: list[Tensor] = []
        late: list[Node] = []
        for term in self._terms(slope):
            if term in self._results and self._can_wait(term.node):
                late.append(term.node)
            else:
                rest.append(term)
        if not late:
            return slope
        self.sums[i] = late
        total = None
        for term in rest:
            total = term if total is None else add(total, term)
        return total

    def values(self) -> Iterator[Tensor]:
        """Yield what must be there of all steps."""
        for nodes in self.sums.values():
            for node in nodes:
                yield from node.operands

    def total(self, i: int, whole: dict[Tensor, tuple[Tensor, int]]) -> Tensor:
        """Return the sum over all steps; `whole`: by value its stack, and the axis."""
        total = None
        for node in self.sums[i]:
            stacks = [whole[operand] for operand in node.operands]
            make = _product if node.op == "matmul" else _sum
            made = reshape(make(node, *stacks), node.results[0].shape)
            total = made if total is None else add(total, made)
        return total

    def _terms(self, value: Tensor) -> Iterator[Tensor]:
        """Yield what a value is the sum of."""
        node = value.node
        shapes = {v.shape for v in node.operands} if value in self._results else ()
        if shapes == {value.shape} and node.op == "add":
            for operand in node.operands:
                yield from self._terms(operand)
        else:
            yield value

    def _can_wait(self, node: Node) -> bool:
        if not self._invariant.isdisjoint(node.operands):
            return False
        if node.op == "reduce_sum":
            return node.operands[0].rank > 0
        return (
            node.op == "matmul"
            and not node.regions
            and node.attributes["transpose_a"]
            and not node.attributes["transpose_b"]
            and node.operands[0].rank == 2
        )


def _product(node: Node, a: tuple[Tensor, int], b: tuple[Tensor, int]) -> Tensor:
    (a, axis), (b, other) = a, b
    if axis > 1:  # of columns
        a, axis = moveaxis(a, axis, 0), 0
    if other != axis:
        b = moveaxis(b, other, axis)
    flat = [reshape(v, (product(v.shape[:2]), v.shape[2])) for v in (a, b)]
    return matmul(*flat, transpose_a=True)


def _sum(node: Node, whole: tuple[Tensor, int]) -> Tensor:
    stack, axis = whole
    axes = [at + (at >= axis) for at in node.attributes["axes"]]
    return reduce_sum(stack, sorted([*axes, axis]))
