"""Checks a memory plan by executing it on labels."""

import numpy as np

from slimlearn.backend import reference
from slimlearn.backend.graph import element_of, storage_of
from slimlearn.backend.text import parse_program

_MOVES = ("reshape", "slice", "pad", "concat")


def check_disjoint(text: str, function: str, facts: dict, sizes: dict) -> None:
    """Refuse a plan in which a read finds another element's label in its bytes.

    What moves elements writes nothing that stands in its place already: a reshape,
    columns that are read where they lie, parts computed where they are needed.
    """
    model = parse_program(text)
    graph = model.functions[function]
    labels = _Labels(facts["scratch_bytes"], sizes)
    for tensor in model.declarations.values():
        labels.make(tensor)
    inputs = [n for n in graph.nodes if n.op == "input"]
    labels.run(inputs + [n for n in graph.nodes if n.op != "input"], facts)
    for value in [*graph.returns, *graph.grads.values(), *graph.sets.values()]:
        assert value.name not in facts["row_strides"]
        labels.read(value, facts, "the end")


class _Labels:
    """The element in each byte of scratch, and those of each value; 0: a zero."""

    def __init__(self, scratch_bytes: int, sizes: dict):
        self.scratch_bytes, self.sizes = scratch_bytes, sizes
        self.memory = np.zeros(scratch_bytes, np.int64)
        self.of: dict[object, np.ndarray] = {}
        self.made = 0

    def shape(self, tensor):
        return tuple(
            d if isinstance(d, int) else d.evaluate(self.sizes) for d in tensor.shape
        )

    def make(self, tensor):
        """Label the elements of a computed value."""
        shape = self.shape(tensor)
        count = int(np.prod(shape))
        self.of[tensor] = np.arange(1, count + 1).reshape(shape) + self.made
        self.made += count

    def cells(self, tensor, facts):
        """Return the bytes of every element, or None for what is not in scratch."""
        arena, offset = facts["places"][tensor.name]
        if arena or storage_of(tensor.dtype):
            return None
        shape = self.shape(tensor)
        element = np.arange(int(np.prod(shape)))
        stride = facts["row_strides"].get(tensor.name)
        if stride is not None:
            element = element // shape[-1] * stride + element % shape[-1]
        size = np.dtype(reference.DTYPES[element_of(tensor.dtype)]).itemsize
        found = (offset + element * size)[:, None] + np.arange(size)
        assert not found.size or found.max() + 64 < self.scratch_bytes
        return found.reshape(*shape, size)

    def read(self, tensor, facts, reader):
        cells = self.cells(tensor, facts)
        if cells is not None:
            found = self.memory[cells] == self.of[tensor][..., None]
            assert found.all(), f"{reader} reads %{tensor.name}"

    def write(self, tensor, facts, where=...):
        cells = self.cells(tensor, facts)
        if cells is not None:
            self.memory[cells[where]] = self.of[tensor][where][..., None]

    def run(self, nodes, facts):
        for node in nodes:
            for operand in node.operands:
                self.read(operand, facts, f"%{node.results[0].name}")
            if node.op in _MOVES:
                self.move(node, facts)
            elif node.op == "cond":
                self.branches(node, facts)
            else:
                for result in node.results:
                    self.make(result)
                for result in node.results:
                    self.write(result, facts)

    def move(self, node, facts):
        """Label what a node moves, and write what does not stand there yet."""
        (result,), first = node.results, self.of[node.operands[0]]
        axis = node.attributes.get("axis", 0)

        def along(start, stop):
            return (slice(None),) * axis + (slice(start, stop),)

        if node.op == "reshape":
            self.of[result] = first.reshape(self.shape(result))
            return
        here = self.cells(result, facts)
        if node.op == "slice":
            part = along(node.attributes["start"], node.attributes["stop"])
            self.of[result] = first[part]
            whole = self.cells(node.operands[0], facts)
            if whole is None or not np.array_equal(whole[part], here):
                self.write(result, facts)
            return
        at = node.attributes.get("before", 0)
        if node.op == "pad":
            widths = [(0, 0)] * first.ndim
            widths[axis] = (at, node.attributes["after"])
            self.of[result] = np.pad(first, widths)
            self.write(result, facts, np.nonzero(self.of[result] == 0))
        else:
            self.of[result] = np.concatenate([self.of[v] for v in node.operands], axis)
        for operand in node.operands:
            part = along(at, at + self.shape(operand)[axis])
            at = part[-1].stop
            if here is None or not np.array_equal(
                here[part], self.cells(operand, facts)
            ):
                self.write(result, facts, part)

    def branches(self, node, facts):
        before, after = self.memory.copy(), []
        for result in node.results:
            self.make(result)
        regions = zip(node.regions, facts["regions"][node.results[0].name], strict=True)
        for region, inside in regions:
            self.memory = before.copy()
            for value, operand in zip(
                region.parameters, node.operands[1:], strict=True
            ):
                self.of[value] = self.of[operand]
            self.run(region.nodes, inside)
            places = [facts["places"][result.name] for result in node.results]
            for value, place in zip(region.returns, places, strict=True):
                self.read(value, inside, "yield")
                copied = (value.name, *place) in inside["copies"]
                assert copied or inside["places"][value.name] == place
            for result in node.results:
                self.write(result, facts)
            after.append(self.memory)
        then, otherwise = after
        # What only one of the branches leaves, nobody may read.
        self.memory = np.where(then == otherwise, then, -1)
