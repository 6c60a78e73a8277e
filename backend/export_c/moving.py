"""Memory that is moved: parts of values, other orders, rows by number, constants."""

from __future__ import annotations

import math

from slimlearn.backend.export_c.families import count_of, emits
from slimlearn.backend.export_c.helpers import C_TYPES, Helpers
from slimlearn.backend.export_c.literals import literal
from slimlearn.backend.export_c.writing import Function
from slimlearn.backend.graph import Node

__all__ = ["copy_rows"]

Helpers.define("""
/* copy_rows: Rows of so many numbers that lie so far apart. */
static void NAME(int32_t rows, int32_t width, const TYPE *x, int32_t x_row, TYPE *y,
                 int32_t y_row) {
  for (int32_t i = 0; i < rows; ++i) {
    memcpy(y + i * y_row, x + i * x_row, (size_t)width * sizeof(TYPE));
  }
}
""")

Helpers.define("""
/* spread: y of this shape, along each axis of which the numbers of x lie so far apart.
 */
static void NAME(int32_t rank, const int32_t *shape, const int32_t *strides,
                 const TYPE *x, TYPE *y) {
  int32_t at[8] = {0}, place = 0;
  for (;;) {
    int32_t axis = rank - 1;
    *y++ = x[place];
    for (; axis >= 0; --axis) {
      place += strides[axis];
      if (++at[axis] < shape[axis]) break;
      place -= strides[axis] * shape[axis];
      at[axis] = 0;
    }
    if (axis < 0) return;
  }
}
""")

Helpers.define("""
/* fill: One number everywhere. */
static void NAME(int32_t count, TYPE value, TYPE *y) {
  for (int32_t i = 0; i < count; ++i) y[i] = value;
}
""")


def copy_rows(f: Function, dtype: str, rows, width, x, x_row, y, y_row) -> None:
    """Add a copy of rows, or of all numbers where they lie one behind the other."""
    if rows == 1 or width == x_row == y_row:
        f.copy(y, x, dtype, rows * width)
    else:
        name = f.file.helpers.use("copy_rows", dtype)
        f.call(name, rows, width, x, x_row, y, y_row)


def _row(shape, axis: int) -> tuple[int, int]:
    """How often an axis is met, and how many numbers are under it."""
    return math.prod(shape[:axis]), math.prod(shape[axis:])


@emits("slice")
def slice_(f: Function, node: Node) -> None:
    x, y, axis = node.operands[0], node.results[0], node.attributes["axis"]
    rows, x_row = _row(x.shape, axis)
    _, width = _row(y.shape, axis)
    start = node.attributes["start"] * math.prod(x.shape[axis + 1 :])
    copy_rows(
        f, x.dtype, rows, width, f"{f.word(x)} + {start}", x_row, f.word(y), width
    )


@emits("concat")
def concat(f: Function, node: Node) -> None:
    y, axis = node.results[0], node.attributes["axis"]
    rows, y_row = _row(y.shape, axis)
    start = 0
    for x in node.operands:
        _, width = _row(x.shape, axis)
        word = f"{f.word(y)} + {start}" if start else f.word(y)
        if width:
            copy_rows(f, x.dtype, rows, width, f.word(x), width, word, y_row)
        start += width


@emits("pad")
def pad(f: Function, node: Node) -> None:
    x, y, axis = node.operands[0], node.results[0], node.attributes["axis"]
    f.call(f.file.helpers.use("fill", y.dtype), count_of(y), 0, f.word(y))
    rows, y_row = _row(y.shape, axis)
    _, width = _row(x.shape, axis)
    start = node.attributes["before"] * math.prod(x.shape[axis + 1 :])
    copy_rows(
        f, x.dtype, rows, width, f.word(x), width, f"{f.word(y)} + {start}", y_row
    )


@emits("transpose")
def transpose(f: Function, node: Node) -> None:
    x, y, perm = node.operands[0], node.results[0], node.attributes["perm"]
    strides = [math.prod(x.shape[axis + 1 :]) for axis in perm]
    _spread(f, node, y.shape, strides)


@emits("broadcast")
def broadcast(f: Function, node: Node) -> None:
    x, y = node.operands[0], node.results[0]
    shape = (1,) * (y.rank - x.rank) + tuple(x.shape)
    strides = [
        0 if size == 1 else math.prod(shape[axis + 1 :])
        for axis, size in enumerate(shape)
    ]
    _spread(f, node, y.shape, strides)


def _spread(f: Function, node: Node, shape, strides) -> None:
    x, y = node.operands[0], node.results[0]
    # Axes of one element tell nothing.
    real = [axis for axis, size in enumerate(shape) if size != 1] or [0]
    rows = [
        [list(values)[axis] for axis in real]
        for values in (shape or (1,), strides or (0,))
    ]
    names = []
    for what, values in zip(("shape", "strides"), rows, strict=True):
        name = f.file.names.take(f"{y.name}_{what}")
        text = ", ".join(map(str, values))
        f.file.constants.append(f"static const int32_t {name}[] = {{{text}}};\n")
        names.append(name)
    f.call(
        f.file.helpers.use("spread", x.dtype), len(real), *names, f.word(x), f.word(y)
    )


@emits("constant")
def constant(f: Function, node: Node) -> None:
    y, value = node.results[0], node.attributes["value"]
    text = literal(value, y.dtype)
    if count_of(y) == 1:
        f.line(f"*({f.word(y)}) = {text};")
    else:
        f.call(f.file.helpers.use("fill", y.dtype), count_of(y), text, f.word(y))


@emits("constant_list")
def constant_list(f: Function, node: Node) -> None:
    (y,) = node.results
    for i, value in enumerate(node.attributes["values"]):
        f.line(f"({f.word(y)})[{i}] = {literal(value, y.dtype)};")


Helpers.define("""
/* iota: 0, 1, 2, ... */
static void NAME(int32_t count, TYPE *y) {
  for (int32_t i = 0; i < count; ++i) y[i] = (TYPE)i;
}
""")


@emits("iota")
def iota(f: Function, node: Node) -> None:
    y = node.results[0]
    f.call(f.file.helpers.use("iota", y.dtype), count_of(y), f.word(y))


_GATHER = """
/* gather_{ids}: Rows of a table by number, the nearest that there is. */
static void NAME(int32_t count, int32_t rows, int32_t width, const TYPE *table,
                 const {kind} *ids, TYPE *y) {{
  for (int32_t i = 0; i < count; ++i, y += width) {{
    const {kind} id = ids[i] < 0 ? 0 : ids[i] < rows ? ids[i] : rows - 1;
    memcpy(y, table + id * width, (size_t)width * sizeof(TYPE));
  }}
}}
"""
_GATHER_INTEGERS = """
/* gather_i8_{ids}: Rows of a table of integers, each with its scale. */
static void NAME(int32_t count, int32_t rows, int32_t width, const int8_t *table,
                 const {kind} *ids, const TYPE *scales, TYPE *y) {{
  for (int32_t i = 0; i < count; ++i, y += width) {{
    const {kind} id = ids[i] < 0 ? 0 : ids[i] < rows ? ids[i] : rows - 1;
    for (int32_t j = 0; j < width; ++j) y[j] = table[id * width + j] * scales[id];
  }}
}}
"""
_ONE_HOT = """
/* one_hot_{ids}: Rows of one number, but for another at the place that an id says. */
static void NAME(int32_t count, int32_t width, const {kind} *ids, TYPE on, TYPE off,
                 TYPE *y) {{
  for (int32_t i = 0; i < count; ++i, y += width) {{
    for (int32_t j = 0; j < width; ++j) y[j] = ids[i] == j ? on : off;
  }}
}}
"""
for _ids in ("i32", "i64"):
    for _text in (_GATHER, _GATHER_INTEGERS, _ONE_HOT):
        Helpers.define(_text.format(ids=_ids, kind=C_TYPES[_ids]))


@emits("gather")
def gather(f: Function, node: Node) -> None:
    table, ids = node.operands
    integers = f.integers(table)
    helper = "gather" if integers is None else "gather_i8"
    name = f.file.helpers.use(f"{helper}_{ids.dtype}", table.dtype)
    rows, width = table.shape[0], math.prod(table.shape[1:])
    words = [f.word(table), f.word(ids)]
    if integers is not None:
        words.append(integers[1])
    f.call(name, count_of(ids), rows, width, *words, f.word(node.results[0]))


@emits("one_hot")
def one_hot(f: Function, node: Node) -> None:
    ids, y = node.operands[0], node.results[0]
    name = f.file.helpers.use(f"one_hot_{ids.dtype}", y.dtype)
    numbers = [literal(node.attributes[f"{w}_value"], y.dtype) for w in ("on", "off")]
    f.call(name, count_of(ids), y.shape[-1], f.word(ids), *numbers, f.word(y))
