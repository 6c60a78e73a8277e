"""What is taken along axes: sums, largest numbers and their places, softmax."""

from __future__ import annotations

import math

from slimlearn.backend.export_c.errors import NotExportable, place_of
from slimlearn.backend.export_c.families import emits
from slimlearn.backend.export_c.helpers import Helpers
from slimlearn.backend.export_c.writing import Function
from slimlearn.backend.graph import Node

__all__: list[str] = []

_REDUCE = """
/* {name}: {says} along the middle one of three axes. */
static void NAME(int32_t outer, int32_t n, int32_t inner, const TYPE *x, TYPE *y) {{
  for (int32_t i = 0; i < outer; ++i, x += n * inner, y += inner) {{
    for (int32_t j = 0; j < inner; ++j) {{
      TYPE found = {start};
      for (int32_t l = {first}; l < n; ++l) {{
        const TYPE value = x[l * inner + j];
        {step}
      }}
      y[j] = found;
    }}
  }}
}}
"""
_STARTS = ("x[j]", 1)
for _name, _says, (_start, _first), _step in (
    ("reduce_sum", "The sum", ("0", 0), "found += value;"),
    ("reduce_max", "The largest", _STARTS, "if (value > found) found = value;"),
    ("reduce_min", "The least", _STARTS, "if (value < found) found = value;"),
):
    Helpers.define(
        _REDUCE.format(name=_name, says=_says, start=_start, first=_first, step=_step)
    )

Helpers.define("""
/* logsumexp: The logarithm of the sum of exponentials along the middle one of three
 * axes. */
static void NAME(int32_t outer, int32_t n, int32_t inner, const TYPE *x, TYPE *y) {
  for (int32_t i = 0; i < outer; ++i, x += n * inner, y += inner) {
    for (int32_t j = 0; j < inner; ++j) {
      TYPE largest = x[j], sum = 0;
      for (int32_t l = 1; l < n; ++l) {
        if (x[l * inner + j] > largest) largest = x[l * inner + j];
      }
      for (int32_t l = 0; l < n; ++l) sum += EXP(x[l * inner + j] - largest);
      y[j] = largest + LOG(sum);
    }
  }
}
""")

Helpers.define("""
/* softmax: Shares of each row's exponentials; y may be x. */
static void NAME(int32_t rows, int32_t n, const TYPE *x, TYPE *y) {
  for (int32_t i = 0; i < rows; ++i, x += n, y += n) {
    TYPE largest = x[0], sum = 0;
    for (int32_t j = 1; j < n; ++j) {
      if (x[j] > largest) largest = x[j];
    }
    for (int32_t j = 0; j < n; ++j) sum += y[j] = EXP(x[j] - largest);
    for (int32_t j = 0; j < n; ++j) y[j] /= sum;
  }
}
""")

Helpers.define("""
/* log_softmax: Logarithms of the shares of each row's exponentials; y may be x. */
static void NAME(int32_t rows, int32_t n, const TYPE *x, TYPE *y) {
  for (int32_t i = 0; i < rows; ++i, x += n, y += n) {
    TYPE largest = x[0], sum = 0;
    for (int32_t j = 1; j < n; ++j) {
      if (x[j] > largest) largest = x[j];
    }
    for (int32_t j = 0; j < n; ++j) sum += EXP(x[j] - largest);
    for (int32_t j = 0; j < n; ++j) y[j] = x[j] - largest - LOG(sum);
  }
}
""")

Helpers.define("""
/* argmax: The place of the first largest number along the middle one of three axes. */
static void NAME(int32_t outer, int32_t n, int32_t inner, const TYPE *x, int64_t *y) {
  for (int32_t i = 0; i < outer; ++i, x += n * inner, y += inner) {
    for (int32_t j = 0; j < inner; ++j) {
      y[j] = 0;
      for (int32_t l = 1; l < n; ++l) {
        if (x[l * inner + j] > x[y[j] * inner + j]) y[j] = l;
      }
    }
  }
}
""")


@emits("reduce_sum", "reduce_max", "reduce_min", "logsumexp")
def reduce(f: Function, node: Node) -> None:
    shape, axes = node.operands[0].shape, sorted(node.attributes["axes"])
    # Axes of one element are in no one's way.
    real = [axis for axis in axes if shape[axis] != 1]
    first = real[0] if real else 0
    last = real[-1] + 1 if real else 0
    if any(shape[a] != 1 and a not in real for a in range(first, last)):
        raise NotExportable(
            f"C exports reduce neighbouring axes; {place_of(node)} has {axes} of "
            f"{len(shape)}: reduce one after the other"
        )
    sizes = shape[:first], shape[first:last], shape[last:]
    name = f.file.helpers.use(node.op, node.operands[0].dtype)
    f.call(
        name, *map(math.prod, sizes), f.word(node.operands[0]), f.word(node.results[0])
    )


@emits("argmax")
def argmax(f: Function, node: Node) -> None:
    x, axis = node.operands[0], node.attributes["axis"]
    sizes = x.shape[:axis], x.shape[axis : axis + 1], x.shape[axis + 1 :]
    name = f.file.helpers.use("argmax", x.dtype)
    f.call(name, *map(math.prod, sizes), f.word(x), f.word(node.results[0]))


@emits("softmax", "log_softmax")
def softmax(f: Function, node: Node) -> None:
    x = node.operands[0]
    n = x.shape[-1]
    name = f.file.helpers.use(node.op, x.dtype)
    f.call(name, math.prod(x.shape[:-1]), n, f.word(x), f.word(node.results[0]))
