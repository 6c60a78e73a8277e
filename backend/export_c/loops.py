"""Loops and branches: their regions are functions of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence

from slimlearn.backend.export_c.families import Room, count_of, emits
from slimlearn.backend.export_c.moving import copy_rows
from slimlearn.backend.export_c.writing import Function
from slimlearn.backend.graph import Node, Tensor
from slimlearn.backend.ops.loops import LoopForm

__all__: list[str] = []


def _sizes(functions: Sequence[Function]) -> list[Room]:
    """Memory in which any of these functions can run, of which one does at a time."""
    sizes: dict[str, int] = {}
    for function in functions:
        for dtype, size in function.arena.sizes.items():
            sizes[dtype] = max(size, sizes.get(dtype, 0))
    return [Room(dtype, size) for dtype, size in sizes.items()]


def _write(f: Function, node: Node, inner: Function, first: int) -> None:
    """Write the function of a region, whose memory is the node's from a room on."""
    base = {block.dtype: f.place(block) for block in f.rooms[node][first:]}
    names = inner.file.names.copy()
    words = [names.take(value.name) for value in inner.inputs]
    outputs = [names.take(f"{value.name}_out") for value in inner.graph.returns]
    inner.write(base, words, outputs)


def _call(f: Function, inner: Function, operands: dict[str, str], results) -> None:
    words = [operands[source] for source in inner.sources]
    more = ["arena"] if inner.needs_arena else []
    f.call(inner.name, *words, *results, *more)


class _Loop:
    """What the steps of a loop read and write."""

    def __init__(self, f: Function, node: Node):
        self.f, self.node, self.form = f, node, LoopForm.of_node(node)
        form = self.form
        begin = form.first + form.carried
        self.starts = node.operands[form.first : begin]
        self.scanned = node.operands[begin : begin + form.scanned]
        self.read = node.operands[begin + form.scanned :]
        self.carried = node.results[: form.carried]
        self.stacked = node.results[form.carried : form.carried + form.stacked]
        self.body = node.regions[-1]

    def values(self) -> list[Tensor | None]:
        """What parameters of a region stand for in all steps."""
        changing = len(self.starts) + len(self.scanned)
        return [*[None] * changing, *self.read]

    def rooms(self) -> list[Room]:
        """The next carried values, and slices that lie apart."""
        rooms = [Room(v.dtype, count_of(v)) for v in self.carried]
        for i, x in enumerate(self.scanned):
            if not self.together(x, self.form.scanned_axis(i)):
                steps = x.shape[self.form.scanned_axis(i)]
                rooms.append(Room(x.dtype, count_of(x) // steps))
        for i, y in enumerate(self.stacked):
            axis = self.form.stacked_axis(i)
            if not self.together(y, axis):
                rooms.append(Room(y.dtype, count_of(y) // y.shape[axis]))
        return rooms

    @staticmethod
    def together(value: Tensor, axis: int) -> bool:
        """Whether the numbers of a slice lie one behind the other."""
        return math.prod(value.shape[:axis]) == 1


def _loop_room(f: Function, node: Node) -> list[Room]:
    loop = _Loop(f, node)
    values = loop.values()
    functions = [f.region(node, loop.body, values, "step")]
    if loop.form.is_while:
        functions.append(f.region(node, node.regions[0], values, "condition"))
    more = [Room("bool", 1)] if loop.form.is_while else []
    return [*loop.rooms(), *more, *_sizes(functions)]


@emits("scan", "while_loop", room=_loop_room)
def loop(f: Function, node: Node) -> None:
    loop = _Loop(f, node)
    form, body = loop.form, f.called[node][0]
    rooms = loop.rooms()
    first = len(rooms) + form.is_while
    for inner in f.called[node]:
        _write(f, node, inner, first)
    for start, carried in zip(loop.starts, loop.carried, strict=True):
        f.copy(f.word(carried), f.word(start), start.dtype, count_of(start))
    carried = [f.word(v) for v in loop.carried]
    read = [f.word(v) for v in loop.read]
    count = _count(f, node, loop)
    if form.is_while:
        goes_on = f.room(node, len(rooms))
        steps = f.word(node.results[-1])
        bound = f"*({steps}) < {count}" if count else ""
        f.line(f"*({steps}) = 0;")
        f.open(f"for (; {bound}; ++*({steps}))")
        condition = f.called[node][1]
        names = [p.name for p in node.regions[0].parameters]
        _call(f, condition, dict(zip(names, [*carried, *read], strict=True)), [goes_on])
        f.line(f"if (!*({goes_on})) break;")
    else:
        f.open(f"for (int32_t i = 0; i < {count}; ++i)")
        if form.reverse:
            f.line(f"const int32_t step = {count} - 1 - i;")
    step = "step" if form.reverse else "i"
    spare = iter(range(len(loop.carried), len(rooms)))
    slices = []
    for i, x in enumerate(loop.scanned):
        slices.append(_slice(f, node, x, form.scanned_axis(i), step, spare, load=True))
    stacked, later = [], []
    for i, y in enumerate(loop.stacked):
        word = _slice(f, node, y, form.stacked_axis(i), step, spare, load=False)
        stacked.append(word)
        if not loop.together(y, form.stacked_axis(i)):
            later.append((y, form.stacked_axis(i), word))
    following = [f.room(node, i) for i in range(len(carried))]
    names = [p.name for p in loop.body.parameters]
    given = dict(zip(names, [*carried, *slices, *read], strict=True))
    _call(f, body, given, [*following, *stacked])
    for y, axis, word in later:
        rows, row = math.prod(y.shape[:axis]), math.prod(y.shape[axis:])
        width = math.prod(y.shape[axis + 1 :])
        copy_rows(
            f, y.dtype, rows, width, word, width, f"{f.word(y)} + {step} * {width}", row
        )
    for value, old, new in zip(loop.carried, carried, following, strict=True):
        f.copy(old, new, value.dtype, count_of(value))
    f.close()


def _count(f: Function, node: Node, loop: _Loop) -> str | int:
    """How many steps a loop has at most; 0 for no bound."""
    length = loop.form.length
    if not loop.form.counted:
        return length
    counted = f"*({f.word(node.operands[0])})"
    for y in loop.stacked:  # of steps that are not taken
        f.call(f.file.helpers.use("fill", y.dtype), count_of(y), 0, f.word(y))
    name = f.local("steps")
    least = f"{counted} < {length} ? {counted} : {length}"
    f.line(f"const int32_t {name} = (int32_t)({least});")
    return name


def _slice(f, node, value: Tensor, axis: int, step: str, spare, load: bool) -> str:
    """The expression for a step's slice, which is copied where it lies apart."""
    width = math.prod(value.shape[axis + 1 :])
    word = f"{f.word(value)} + {step} * {width}"
    if _Loop.together(value, axis):
        return word
    room = f.room(node, next(spare))
    if load:
        rows, row = math.prod(value.shape[:axis]), math.prod(value.shape[axis:])
        copy_rows(f, value.dtype, rows, width, word, row, room, width)
    return room


def _branch_room(f: Function, node: Node) -> list[Room]:
    values = list(node.operands[1:])
    labels = zip(node.regions, ("then", "otherwise"), strict=True)
    return _sizes([f.region(node, region, values, label) for region, label in labels])


@emits("cond", room=_branch_room)
def cond(f: Function, node: Node) -> None:
    results = [f.word(v) for v in node.results]
    for i, (inner, region) in enumerate(zip(f.called[node], node.regions, strict=True)):
        _write(f, node, inner, 0)
        names = [p.name for p in region.parameters]
        given = dict(zip(names, map(f.word, node.operands[1:]), strict=True))
        if i == 0:
            f.open(f"if (*({f.word(node.operands[0])}))")
        else:
            f.open("else")
        _call(f, inner, given, results)
        f.close()
