"""A function of C from a graph: its values, its steps, the functions it calls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from slimlearn.backend.export_c.errors import NotExportable, place_of
from slimlearn.backend.export_c.families import (
    ALIASES,
    EMITTERS,
    FORMULAS,
    MEMBERS,
    ROOMS,
    File,
    Part,
    count_of,
)
from slimlearn.backend.export_c.helpers import C_TYPES
from slimlearn.backend.export_c.names import Names
from slimlearn.backend.export_c.network import optimized
from slimlearn.backend.export_c.places import Arena, Block
from slimlearn.backend.export_c.quantize import Quantized
from slimlearn.backend.graph import Declaration, Graph, Model, Node, Tensor

__all__ = ["Function"]


class Function:
    """A function of C that computes what a graph does.

    Parameters
    ----------
    file : File
    name : str
    graph : Graph
        As the passes leave it; its inputs are nodes of it.
    text : str
        What it was made of, for the printer of formulas.
    known : mapping of str to Tensor
        Inputs that are constant arrays, by their source.

    Attributes
    ----------
    inputs, sources : list
        What it is given, in order: the tensors, and what they are called.
    arena : Arena
    """

    def __init__(
        self,
        file: File,
        name: str,
        graph: Graph,
        text: str,
        known: Mapping[str, Tensor] | None = None,
    ):
        self.file, self.name, self.graph = file, name, graph
        self._lines: list[str] = []
        self._names = Names()
        self.needs_arena = False
        self._depth = 1
        self._base: dict[str, int] = {}
        self.part = Part(name, graph, text)
        file.parts.append(self.part)
        self.known: dict[Tensor, Tensor] = {}
        self.inputs: list[Tensor] = []
        self.sources: list[str] = []
        for node in graph.nodes:
            if node.op != "input":
                continue
            constant = (known or {}).get(node.attributes["source"])
            if constant is None:
                self.inputs.append(node.results[0])
                self.sources.append(node.attributes["source"])
            else:
                self.known[node.results[0]] = constant
        self._check_ops()
        self.called: dict[Node, list[Function]] = {}
        self.rooms: dict[Node, list[Block]] = {}
        self._aliases: dict[Tensor, tuple[Tensor, int]] = {}
        self._words: dict[Tensor, str] = {}
        self.arena = Arena()
        self._place()

    def _check_ops(self) -> None:
        for node in self.graph.nodes:
            if node.op == "input" or node.op in ALIASES | FORMULAS | EMITTERS.keys():
                continue
            raise NotExportable(
                f"C exports have no code for {place_of(node)}: build the network "
                "without that layer, or save the model (est.save) and run it by libslim"
            )

    # -- values -----------------------------------------------------------------------

    def root(self, value: Tensor) -> tuple[Tensor, int]:
        """The value in whose memory this one lies, and at which number of it."""
        offset = 0
        while value in self._aliases:
            value, more = self._aliases[value]
            offset += more
        return self.known.get(value, value), offset

    def alias(self, node: Node) -> tuple[Tensor, int] | None:
        """What the result of a node is a part of, without any computation."""
        if node.op in ALIASES:
            return node.operands[0], 0
        if node.op == "slice":
            value, axis = node.operands[0], node.attributes["axis"]
            if math.prod(value.shape[:axis]) == 1:
                inner = math.prod(value.shape[axis + 1 :])
                return value, node.attributes["start"] * inner
        return None

    def word(self, value: Tensor) -> str:
        """The expression of C that points to a value's numbers."""
        root, offset = self.root(value)
        if isinstance(root, Declaration):
            word = self.file.array(root)
        else:
            word = self._words[root]
        return f"{word} + {offset}" if offset else word

    def room(self, node: Node, index: int) -> str:
        """The expression for memory that a node asked for."""
        return self._arena_word(self.rooms[node][index])

    def place(self, block: Block) -> int:
        """Where a block begins in the file's arena, in numbers of its type."""
        return block.offset + self._base.get(block.dtype, 0)

    def local(self, wish: str) -> str:
        """A name for a variable of the function."""
        return self._names.take(wish)

    def _arena_word(self, block: Block) -> str:
        at = self.place(block)
        word = f"arena->{MEMBERS.get(block.dtype, block.dtype)}"
        return f"{word} + {at}" if at else word

    def integers(self, value: Tensor) -> tuple[Quantized, str] | None:
        """A constant array of 8 bits, and what its scales are called."""
        root, _ = self.root(value)
        if not isinstance(root, Declaration) or root.name not in self.file.quantized:
            return None
        return self.file.quantized[root.name], self.file.scales.get(root.name, "")

    # -- memory -----------------------------------------------------------------------

    def _place(self) -> None:
        nodes = self.graph.nodes
        for node in nodes:
            found = self.alias(node)
            if found is not None:
                self._aliases[node.results[0]] = found
        last: dict[Tensor, int] = {}
        for i, node in enumerate(nodes):
            for value in node.operands:
                last[self.root(value)[0]] = i
        self._outputs = self._own_outputs()
        self._blocks: dict[Tensor, Block] = {}
        for i, node in enumerate(nodes):
            if node.op == "input" or self.alias(node) is not None:
                continue
            for value in node.results:
                if value in self._outputs:
                    continue
                reused = self._in_place(node, value, i, last)
                if reused is not None:
                    reused.last = max(reused.last, last.get(value, i))
                    self._blocks[value] = reused
                    continue
                end = last.get(value, i)
                if any(self.root(r)[0] is value for r in self.graph.returns):
                    end = len(nodes)
                block = self.arena.add(value.dtype, count_of(value), i, end)
                self._blocks[value] = block
            rooms = ROOMS.get(node.op)
            self.rooms[node] = [
                self.arena.add(room.dtype, room.count, i, i)
                for room in (rooms(self, node) if rooms else ())
            ]
        self.arena.pack()

    def _own_outputs(self) -> dict[Tensor, int]:
        """Values that are computed where the caller wants them, by the result."""
        found: dict[Tensor, int] = {}
        for i, value in enumerate(self.graph.returns):
            root, offset = self.root(value)
            whole = offset == 0 and count_of(root) == count_of(value)
            given = isinstance(root, Declaration) or root in self.inputs
            if whole and not given and root not in found:
                found[root] = i
        return found

    def _in_place(self, node: Node, value: Tensor, i: int, last) -> Block | None:
        """The memory of an operand that an elementwise result may have."""
        if node.op not in FORMULAS or value is not node.results[0]:
            return None
        roots = [self.root(operand)[0] for operand in node.operands]
        for operand, root in zip(node.operands, roots, strict=True):
            block = self._blocks.get(root)
            if (
                block is not None
                and last.get(root) == i
                and block.last == i
                and roots.count(root) == 1
                and operand.type == value.type
                and count_of(root) == count_of(value)
            ):
                return block
        return None

    # -- text -------------------------------------------------------------------------

    def line(self, words: str) -> None:
        """Add a line."""
        self._lines.append("  " * self._depth + words)

    def open(self, words: str) -> None:
        """Begin a block."""
        self.line(words + " {")
        self._depth += 1

    def close(self) -> None:
        """End it."""
        self._depth -= 1
        self.line("}")

    def call(self, function: str, *arguments) -> None:
        """Add a call of a function."""
        self.line(f"{function}({', '.join(map(str, arguments))});")

    def copy(self, target: str, source: str, dtype: str, count: int) -> None:
        """Add a copy of numbers that lie one behind the other."""
        size = "" if C_TYPES[dtype] == "uint8_t" else f" * sizeof({C_TYPES[dtype]})"
        self.call("memcpy", target, source, f"{count}{size}")

    def apply(self, node: Node, operands: Sequence[str], results: Sequence[str]):
        """Add the call of a node's formula."""
        kernel = self.file.kernels[self.name, node.results[0].name]
        self.call(kernel.name, *operands, *results)

    def write(self, base: Mapping[str, int], words: Sequence[str], outputs) -> None:
        """Write the function and those that it calls.

        Parameters
        ----------
        base : mapping of str to int
            Where its part of the arena begins, by type.
        words, outputs : sequence of str
            How its inputs and outputs are called.
        """
        self._base = dict(base)
        names = self._names = self.file.names.copy()
        for dtype, size in self.arena.sizes.items():
            end = self._base.get(dtype, 0) + size
            self.file.sizes[dtype] = max(self.file.sizes.get(dtype, 0), end)
        for word in (*words, *outputs):
            names.take(word)
        self._words.update(zip(self.inputs, words, strict=True))
        pointers = []
        for value, i in self._outputs.items():
            self._words[value] = outputs[i]
        for value, block in self._blocks.items():
            word = self._words[value] = names.take(value.name)
            pointers.append((word, C_TYPES[value.dtype], self._arena_word(block)))
        for node in self.graph.nodes:
            if node.op == "input" or self.alias(node) is not None:
                continue
            if node.op in EMITTERS:
                EMITTERS[node.op](self, node)
            else:
                self.apply(node, *self.words_of(node))
        for i, value in enumerate(self.graph.returns):
            if self._outputs.get(self.root(value)[0]) != i:
                self.copy(outputs[i], self.word(value), value.dtype, count_of(value))
        parameters = [
            f"const {C_TYPES[value.dtype]} *{word}"
            for value, word in zip(self.inputs, words, strict=True)
        ]
        parameters += [
            f"{C_TYPES[value.dtype]} *{word}"
            for value, word in zip(self.graph.returns, outputs, strict=True)
        ]
        body = "\n".join(self._lines)
        used = [p for p in pointers if _mentions(body, p[0])]
        if used or "arena->" in body or _mentions(body, "arena"):
            parameters.append(f"{self.file.name}_arena *arena")
            self.needs_arena = True
        head = [f"static void {self.name}({', '.join(parameters)}) {{"]
        head += [f"  {kind} *const {word} = {place};" for word, kind, place in used]
        head += [f"  (void){word};" for word in words if not _mentions(body, word)]
        self.file.functions.append("\n".join([*head, body, "}\n"]))

    def words_of(self, node: Node) -> tuple[list[str], list[str]]:
        """The expressions of a node's operands and of its results."""
        return [self.word(v) for v in node.operands], [
            self.word(v) for v in node.results
        ]

    # -- regions ----------------------------------------------------------------------

    def region(self, node: Node, region: Graph, values: Sequence[Tensor | None], label):
        """The function of a region.

        Parameters
        ----------
        node : Node
            That holds it.
        region : Graph
        values : sequence of Tensor or None
            What its parameters stand for, where that is the same in all calls.
        label : str
            Of the function, behind the node's name.
        """
        graph = Graph("f")
        known = {}
        for parameter, value in zip(region.parameters, values, strict=True):
            made = Node("input", (), {"source": parameter.name})
            made.results = (parameter,)
            graph.nodes.append(made)
            root = None if value is None else self.root(value)
            if root is not None and isinstance(root[0], Declaration) and not root[1]:
                known[parameter.name] = root[0]
        graph.nodes += region.nodes
        graph.returns = list(region.returns)
        shell = Model()
        shell.functions = {"f": graph}
        text, graph = optimized(shell, "f")
        name = self.file.names.take(f"{node.results[0].name}_{label}")
        function = Function(self.file, name, graph, text, known)
        self.called.setdefault(node, []).append(function)
        return function


def _mentions(body: str, word: str) -> bool:
    at = body.find(word)
    while at >= 0:
        before, after = body[at - 1 : at], body[at + len(word) : at + len(word) + 1]
        if not (before.isalnum() or before == "_" or after.isalnum() or after == "_"):
            return True
        at = body.find(word, at + 1)
    return False
