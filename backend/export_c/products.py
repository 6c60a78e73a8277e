"""Products, of real numbers or of integers of 8 bits, which end in a formula."""

from __future__ import annotations

import math
from collections.abc import Sequence

from slimlearn.backend.export_c.families import Room, count_of, emits
from slimlearn.backend.export_c.helpers import C_TYPES, Helpers
from slimlearn.backend.export_c.literals import literal
from slimlearn.backend.export_c.quantize import Quantized
from slimlearn.backend.export_c.writing import Function
from slimlearn.backend.graph import Node, Tensor

__all__ = [
    "INTEGERS",
    "REAL",
    "finish",
    "integers_of",
    "product_room",
    "product_type",
    "target_of",
]

Helpers.define("""
/* SLIM_UNROLL: Sums of some columns in registers, where compilers need to be told. */
#if defined(__GNUC__) && !defined(__clang__)
#define SLIM_UNROLL _Pragma("GCC unroll 16")
#else
#define SLIM_UNROLL
#endif
""")

# How products of real numbers and of integers differ.
REAL = {
    "suffix": "",
    "kind": "TYPE",
    "sum": "TYPE",
    "zero": "",
    "of_zero": "",
    "a": "a[l]",
    "scales": "",
    "value": "sum[c]",
}
INTEGERS = {
    "suffix": "_i8",
    "kind": "int8_t",
    "sum": "int32_t",
    "zero": ", zero",
    "of_zero": " int32_t zero,",
    "a": "(a[l] - zero)",
    "scales": " TYPE scale,\n                 int32_t zero, const TYPE *scales,",
    "value": "(TYPE)sum[c] * (scale * scales[first + c])",
}

# Columns at a time.
_LANES = (16, 4, 1)

_ADD = """
/* add_{lanes}{suffix}: sum += a[k] w[k,{lanes}], whose rows lie n apart. */
static void NAME(int32_t k, int32_t n, const {kind} *a,{of_zero} const {kind} *w,
                 {sum} *sum) {{
  {sum} s[{lanes}];
  USE(SLIM_UNROLL)
  for (int32_t c = 0; c < {lanes}; ++c) s[c] = sum[c];
  for (int32_t l = 0; l < k; ++l, w += n) {{
    const {sum} x = {a};
    USE(SLIM_UNROLL)
    for (int32_t c = 0; c < {lanes}; ++c) s[c] += x * w[c];
  }}
  USE(SLIM_UNROLL)
  for (int32_t c = 0; c < {lanes}; ++c) sum[c] = s[c];
}}
"""
_ADD_COLUMNS = """
/* add_columns{suffix}: sum += a[k] w[k,lanes], of 16, 4 or 1 columns. */
static void NAME(int32_t lanes, int32_t k, int32_t n, const {kind} *a,{of_zero}
                 const {kind} *w, {sum} *sum) {{
  if (lanes == 16) {{
    USE(add_16{suffix})(k, n, a{zero}, w, sum);
  }} else if (lanes == 4) {{
    USE(add_4{suffix})(k, n, a{zero}, w, sum);
  }} else {{
    USE(add_1{suffix})(k, n, a{zero}, w, sum);
  }}
}}
"""
_MATMUL = """
/* matmul{suffix}: y[m,n] = a[m,k] b[k,n]; the last columns may be computed twice. */
static void NAME(int32_t m, int32_t k, int32_t n, const {kind} *a,
                 const {kind} *b,{scales} TYPE *y) {{
  const int32_t lanes = n >= 16 ? 16 : n >= 4 ? 4 : 1;
  for (int32_t i = 0; i < m; ++i, a += k, y += n) {{
    for (int32_t j = 0; j < n; j += lanes) {{
      const int32_t first = j + lanes <= n ? j : n - lanes;
      {sum} sum[16] = {{0}};
      USE(add_columns{suffix})(lanes, k, n, a{zero}, b + first, sum);
      for (int32_t c = 0; c < lanes; ++c) y[first + c] = {value};
    }}
  }}
}}
"""
for _kind in (REAL, INTEGERS):
    for _lanes in _LANES:
        Helpers.define(_ADD.format(lanes=_lanes, **_kind))
    for _text in (_ADD_COLUMNS, _MATMUL):
        Helpers.define(_text.format(**_kind))

Helpers.define("""
/* matmul_turned: y[m,n] = a[m,k] b[k,n], whose elements lie so far apart along both
 * axes. */
static void NAME(int32_t m, int32_t k, int32_t n, const TYPE *a, int32_t a_row,
                 int32_t a_column, const TYPE *b, int32_t b_row, int32_t b_column,
                 TYPE *y) {
  for (int32_t i = 0; i < m; ++i) {
    for (int32_t j = 0; j < n; ++j) {
      TYPE sum = 0;
      for (int32_t l = 0; l < k; ++l) {
        sum += a[i * a_row + l * a_column] * b[l * b_row + j * b_column];
      }
      y[i * n + j] = sum;
    }
  }
}
""")

Helpers.define("""
/* quantize: Numbers as integers of this scale, at which `zero` is 0. */
static void NAME(int32_t count, const TYPE *x, TYPE scale, int32_t zero, int8_t *q) {
  for (int32_t i = 0; i < count; ++i) {
    TYPE whole = x[i] / scale;
    whole = whole > -256 ? (whole < 256 ? whole : 256) : -256;
    whole += whole < 0 ? (TYPE)-0.5 : (TYPE)0.5;
    int32_t integer = (int32_t)whole + zero;
    q[i] = (int8_t)(integer < -128 ? -128 : integer > 127 ? 127 : integer);
  }
}
""")

Helpers.define("""
/* scale_of: At which numbers are integers up to 127. */
static TYPE NAME(int32_t count, const TYPE *x) {
  TYPE largest = 0;
  for (int32_t i = 0; i < count; ++i) {
    if (x[i] > largest) largest = x[i];
    if (-x[i] > largest) largest = -x[i];
  }
  return largest > 0 ? largest / 127 : 1;
}
""")


def product_type(node: Node) -> Tensor:
    """What stands before the formula that a product ends in."""
    return node.regions[0].parameters[0] if node.regions else node.results[0]


def product_room(f: Function, node: Node) -> list[Room]:
    product, result, rooms = product_type(node), node.results[0], []
    if product.dtype != result.dtype or count_of(product) != count_of(result):
        rooms.append(Room(product.dtype, count_of(product)))
    if f.integers(node.operands[1]) is not None:
        rooms.append(Room("i8", count_of(node.operands[0])))
    return rooms


def target_of(f: Function, node: Node) -> str:
    rooms = f.rooms[node]
    apart = bool(rooms) and rooms[0].dtype != "i8"
    return f.room(node, 0) if apart else f.word(node.results[0])


class Integers:
    """A product of integers: those of x in a room, and those of the weights."""

    def __init__(self, f: Function, node: Node, one: Quantized, scales: str):
        self.f, self.node, self.one, self.scales = f, node, one, scales

    def call(self, helper: str, before: Sequence, target: str) -> None:
        """Make integers of x, and call what multiplies them."""
        f, x, weights = self.f, self.node.operands[0], self.node.operands[1]
        room = f.room(self.node, len(f.rooms[self.node]) - 1)
        zero = self.one.x_zero
        if self.one.x_scale is None:
            name, scale = f.file.helpers.use("scale_of", x.dtype), f.local("scale")
            kind = C_TYPES[x.dtype]
            f.line(f"const {kind} {scale} = {name}({count_of(x)}, {f.word(x)});")
        else:
            scale = literal(self.one.x_scale, x.dtype)
        name = f.file.helpers.use("quantize", x.dtype)
        f.call(name, count_of(x), f.word(x), scale, zero, room)
        name, words = f.file.helpers.use(helper, x.dtype), [room, f.word(weights)]
        f.call(name, *before, *words, scale, zero, self.scales, target)


def integers_of(f: Function, node: Node) -> Integers | None:
    """The product of integers that a node is, if its weights are some."""
    found = f.integers(node.operands[1])
    return None if found is None else Integers(f, node, *found)


def finish(f: Function, node: Node, target: str) -> None:
    """The formula behind a product."""
    if node.regions:
        operands, results = f.words_of(node)
        f.apply(node, [target, *operands[2:]], results)


@emits("matmul", room=product_room)
def matmul(f: Function, node: Node) -> None:
    a, b = node.operands[:2]
    turn_a, turn_b = node.attributes["transpose_a"], node.attributes["transpose_b"]
    product, target = product_type(node), target_of(f, node)
    k = a.shape[-2 if turn_a else -1]
    n = product.shape[-1]
    each = b.rank > 2
    m = a.shape[-1] if turn_a else a.shape[-2] if each else count_of(a) // k
    batch = math.prod(a.shape[:-2]) if each or turn_a else 1
    words = [f.word(a), f.word(b), target]
    integers = integers_of(f, node)
    if batch > 1:
        f.open(f"for (int32_t i = 0; i < {batch}; ++i)")
        sizes = m * k, k * n if each else 0, m * n
        words = [
            f"{w} + i * {s}" if s else w for w, s in zip(words, sizes, strict=True)
        ]
    if turn_a or turn_b:
        of_a = (1, a.shape[-1]) if turn_a else (k, 1)
        of_b = (1, b.shape[-1]) if turn_b else (n, 1)
        name = f.file.helpers.use("matmul_turned", a.dtype)
        f.call(name, m, k, n, words[0], *of_a, words[1], *of_b, words[2])
    elif integers is not None:
        integers.call("matmul_i8", [m, k, n], words[2])
    else:
        name = f.file.helpers.use("matmul", a.dtype)
        f.call(name, m, k, n, *words)
    if batch > 1:
        f.close()
    finish(f, node, target)
