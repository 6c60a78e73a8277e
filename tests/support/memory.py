"""Checks a memory plan by executing it on labels."""

import numpy as np

from slimlearn.backend import reference
from slimlearn.backend.text import parse_program


def check_disjoint(text: str, function: str, facts: dict, sizes: dict) -> None:
    """Refuse a plan in which a read finds another value's label in its bytes."""
    graph = parse_program(text).functions[function]
    labels = _Labels(facts["scratch_bytes"], sizes)
    inputs = [n for n in graph.nodes if n.op == "input"]
    labels.run(inputs + [n for n in graph.nodes if n.op != "input"], facts)
    for value in [*graph.returns, *graph.grads.values(), *graph.sets.values()]:
        labels.read(value, facts, "the end")


class _Labels:
    """The value in each cell of scratch, and which value an alias or parameter is."""

    def __init__(self, scratch_bytes: int, sizes: dict):
        self.scratch_bytes, self.sizes = scratch_bytes, sizes
        self.owner: dict[int, object] = {}
        self.root: dict[object, object] = {}

    def cells(self, tensor, place):
        arena, offset = place
        if arena:
            return range(0)
        count = 1
        for d in tensor.shape:
            count *= d if isinstance(d, int) else d.evaluate(self.sizes)
        size = count * np.dtype(reference.DTYPES[tensor.dtype]).itemsize
        assert offset % 64 == 0
        assert offset + size + 64 <= self.scratch_bytes
        return range(offset, offset + size, 4)

    def read(self, tensor, facts, reader):
        label = self.root.get(tensor, tensor)
        for cell in self.cells(tensor, facts["places"][tensor.name]):
            assert self.owner.get(cell) is label, f"{reader} reads %{tensor.name}"

    def write(self, tensor, place):
        self.owner.update(dict.fromkeys(self.cells(tensor, place), tensor))

    def run(self, nodes, facts):
        for node in nodes:
            for operand in node.operands:
                self.read(operand, facts, node.results[0].name)
            if node.op == "reshape":
                (source,) = node.operands
                self.root[node.results[0]] = self.root.get(source, source)
            elif node.op == "cond":
                self.branches(node, facts)
            else:
                for result in node.results:
                    self.write(result, facts["places"][result.name])

    def branches(self, node, facts):
        before, after = dict(self.owner), []
        regions = zip(node.regions, facts["regions"][node.results[0].name], strict=True)
        for region, inside in regions:
            self.owner = dict(before)
            for value, operand in zip(
                region.parameters, node.operands[1:], strict=True
            ):
                self.root[value] = self.root.get(operand, operand)
            self.run(region.nodes, inside)
            places = [facts["places"][result.name] for result in node.results]
            for value, place in zip(region.returns, places, strict=True):
                self.read(value, inside, "yield")
                copied = (value.name, *place) in inside["copies"]
                assert copied or inside["places"][value.name] == place
            for result, place in zip(node.results, places, strict=True):
                self.write(result, place)
            after.append(self.owner)
        then, otherwise = after
        # What only one of the branches leaves, nobody may read.
        self.owner = {c: v for c, v in then.items() if otherwise.get(c) is v}
