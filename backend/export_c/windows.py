"""Convolutions and poolings over windows of one or two axes."""

from __future__ import annotations

from slimlearn.backend.export_c.errors import NotExportable, place_of
from slimlearn.backend.export_c.families import Room, count_of, emits
from slimlearn.backend.export_c.helpers import Helpers
from slimlearn.backend.export_c.products import (
    INTEGERS,
    REAL,
    finish,
    integers_of,
    product_room,
    product_type,
    target_of,
)
from slimlearn.backend.export_c.writing import Function
from slimlearn.backend.graph import Node, Tensor

__all__: list[str] = []

Helpers.define("""
/* window: Of a convolution or a pooling over [height, width, channels]. */
typedef struct {
  int32_t height, width, channels, out_height, out_width, out_channels;
  int32_t kernel_height, kernel_width, stride_y, stride_x, top, left, step_y, step_x;
  int32_t groups, pool_height, pool_width;
} NAME;
""")

_CONVOLVE = """
/* convolve{suffix}: A convolution; of each window of a pooling behind it the most. */
static void NAME(const USE(window) *g, const {kind} *x, const {kind} *filters,{scales}
                 TYPE *y) {{
  const int32_t depth = g->channels / g->groups, outs = g->out_channels / g->groups;
  const int32_t lanes = outs >= 16 ? 16 : outs >= 4 ? 4 : 1;
  const int32_t windows = g->out_height * g->out_width;
  for (int32_t i = 0; i < windows; ++i, y += g->out_channels) {{
    for (int32_t p = 0; p < g->pool_height * g->pool_width; ++p) {{
      const int32_t row = i / g->out_width * g->pool_height + p / g->pool_width;
      const int32_t column = i % g->out_width * g->pool_width + p % g->pool_width;
      const int32_t top = row * g->stride_y - g->top;
      const int32_t left = column * g->stride_x - g->left;
      for (int32_t j = 0; j < g->out_channels; j += lanes) {{
        const int32_t group = j / outs, next = (group + 1) * outs;
        const int32_t first = j + lanes <= next ? j : next - lanes;
        {sum} sum[16] = {{0}};
        for (int32_t ky = 0; ky < g->kernel_height; ++ky) {{
          const int32_t at_y = top + ky * g->step_y;
          if (at_y < 0 || at_y >= g->height) continue;
          for (int32_t kx = 0; kx < g->kernel_width; ++kx) {{
            const int32_t at_x = left + kx * g->step_x;
            if (at_x < 0 || at_x >= g->width) continue;
            const int32_t pixel = (at_y * g->width + at_x) * g->channels;
            const int32_t tap = (ky * g->kernel_width + kx) * depth;
            const {kind} *in = x + pixel + group * depth;
            const {kind} *w = filters + tap * g->out_channels + first;
            USE(add_columns{suffix})(lanes, depth, g->out_channels, in{zero}, w, sum);
          }}
        }}
        for (int32_t c = 0; c < lanes; ++c) {{
          const TYPE value = {value};
          if (p == 0 || value > y[first + c]) y[first + c] = value;
        }}
        j = first;
      }}
    }}
  }}
}}
"""
for _kind in (REAL, INTEGERS):
    Helpers.define(_CONVOLVE.format(**_kind))

Helpers.define("""
/* convolve_back: Each pixel of x times the filters, added where they lie in y:
 * transposed. */
static void NAME(const USE(window) *g, const TYPE *x, const TYPE *filters, TYPE *y) {
  const int32_t depth = g->channels / g->groups, outs = g->out_channels / g->groups;
  for (int32_t i = 0; i < g->height * g->width * g->channels; ++i) y[i] = 0;
  for (int32_t i = 0; i < g->out_height * g->out_width; ++i, x += g->out_channels) {
    const int32_t top = i / g->out_width * g->stride_y - g->top;
    const int32_t left = i % g->out_width * g->stride_x - g->left;
    for (int32_t ky = 0; ky < g->kernel_height; ++ky) {
      const int32_t at_y = top + ky * g->step_y;
      if (at_y < 0 || at_y >= g->height) continue;
      for (int32_t kx = 0; kx < g->kernel_width; ++kx) {
        const int32_t at_x = left + kx * g->step_x;
        if (at_x < 0 || at_x >= g->width) continue;
        TYPE *pixel = y + (at_y * g->width + at_x) * g->channels;
        const TYPE *w = filters + (ky * g->kernel_width + kx) * depth * g->out_channels;
        for (int32_t c = 0; c < g->channels; ++c) {
          const int32_t first = c / depth * outs;
          for (int32_t o = 0; o < outs; ++o) {
            pixel[c] += x[first + o] * w[c % depth * g->out_channels + first + o];
          }
        }
      }
    }
  }
}
""")

Helpers.define("""
/* add_bias: y += biases of each channel, and no less than 0 where so wanted. */
static void NAME(int32_t pixels, int32_t channels, const TYPE *biases, int32_t relu,
                 TYPE *y) {
  for (int32_t i = 0; i < pixels * channels; ++i) {
    if (biases) y[i] += biases[i % channels];
    if (relu && y[i] < 0) y[i] = 0;
  }
}
""")


def window_of(
    f: Function, node: Node, x: Tensor, y: Tensor, kernel, pool=(1, 1)
) -> str:
    """Define the window of a node; return its name.

    Parameters
    ----------
    f : Function
    node : Node
    x, y : Tensor
        The map that is read, and the one that is made.
    kernel, pool : sequence of int
        Sizes along the spatial axes.
    """
    flat = x.rank == 3
    if x.rank not in (3, 4):
        raise NotExportable(
            f"C exports have windows over one or two axes; {place_of(node)} has "
            f"{x.rank - 2}: reshape to one of these"
        )

    def two(values, fill):
        values = list(values)
        return [fill, *values] if flat else values

    attributes = node.attributes
    padding = attributes["padding"]
    padding = two([padding[2 * i] for i in range(x.rank - 2)], 0)
    numbers = [
        *(*two(x.shape[1:-1], 1), x.shape[-1], *two(y.shape[1:-1], 1), y.shape[-1]),
        *(*two(kernel, 1), *two(attributes["strides"], 1), *padding),
        *(*two(attributes["dilations"], 1), attributes.get("groups", 1), *pool),
    ]
    kind = f.file.helpers.use("window")
    name = f.file.names.take(f"{node.results[0].name}_window")
    text = ", ".join(map(str, numbers))
    f.file.constants.append(f"static const {kind} {name} = {{{text}}};\n")
    return name


@emits("convolution", room=product_room)
def convolution(f: Function, node: Node) -> None:
    x, filters = node.operands[:2]
    product, target = product_type(node), target_of(f, node)
    window = window_of(f, node, x, product, filters.shape[:-2])
    _convolve(f, node, window, target)
    finish(f, node, target)


def _convolve(f: Function, node: Node, window: str, target: str) -> None:
    x, filters = node.operands[:2]
    integers = integers_of(f, node)
    if integers is not None:
        integers.call("convolve_i8", [f"&{window}"], target)
    else:
        name = f.file.helpers.use("convolve", x.dtype)
        f.call(name, f"&{window}", f.word(x), f.word(filters), target)


@emits("convolution_input_grad", room=product_room)
def convolution_input_grad(f: Function, node: Node) -> None:
    x, filters = node.operands[:2]
    product, target = product_type(node), target_of(f, node)
    window = window_of(f, node, product, x, filters.shape[:-2])
    name = f.file.helpers.use("convolve_back", x.dtype)
    f.call(name, f"&{window}", f.word(x), f.word(filters), target)
    finish(f, node, target)


def _pooled_room(f: Function, node: Node) -> list[Room]:
    if f.integers(node.operands[1]) is None:
        return []
    return [Room("i8", count_of(node.operands[0]))]


@emits("pooled_convolution", room=_pooled_room)
def pooled_convolution(f: Function, node: Node) -> None:
    x, filters = node.operands[:2]
    y, pool = node.results[0], node.attributes["pool"]
    _refuse_places(f, node)
    window = window_of(f, node, x, y, filters.shape[:-2], pool)
    _convolve(f, node, window, f.word(y))
    biases = f.word(node.operands[2]) if len(node.operands) > 2 else "0"
    relu = int(node.attributes["relu"])
    if relu or biases != "0":
        name = f.file.helpers.use("add_bias", x.dtype)
        pixels = count_of(y) // y.shape[-1]
        f.call(name, pixels, y.shape[-1], biases, relu, f.word(y))


def _refuse_places(f: Function, node: Node) -> None:
    """The second result of a pooling is for gradients alone."""
    places = node.results[1]
    read = any(places in other.operands for other in f.graph.nodes)
    if read or places in f.graph.returns:
        raise NotExportable(f"C exports have no places of {place_of(node)}: leave them")


Helpers.define("""
/* pool_largest: The largest number of each window, or the sum of it. */
static void NAME(const USE(window) *g, const TYPE *x, TYPE *y) {
  for (int32_t i = 0; i < g->out_height * g->out_width; ++i) {
    const int32_t top = i / g->out_width * g->stride_y - g->top;
    const int32_t left = i % g->out_width * g->stride_x - g->left;
    for (int32_t c = 0; c < g->channels; ++c, ++y) {
      int32_t found = 0;
      *y = 0;
      for (int32_t ky = 0; ky < g->kernel_height; ++ky) {
        const int32_t at_y = top + ky * g->step_y;
        if (at_y < 0 || at_y >= g->height) continue;
        for (int32_t kx = 0; kx < g->kernel_width; ++kx) {
          const int32_t at_x = left + kx * g->step_x;
          if (at_x < 0 || at_x >= g->width) continue;
          const TYPE value = x[(at_y * g->width + at_x) * g->channels + c];
          if (!found++ || value > *y) *y = value;
        }
      }
    }
  }
}
""")

Helpers.define("""
/* pool_sum: The sum of each window. */
static void NAME(const USE(window) *g, const TYPE *x, TYPE *y) {
  for (int32_t i = 0; i < g->out_height * g->out_width; ++i) {
    const int32_t top = i / g->out_width * g->stride_y - g->top;
    const int32_t left = i % g->out_width * g->stride_x - g->left;
    for (int32_t c = 0; c < g->channels; ++c, ++y) {
      *y = 0;
      for (int32_t ky = 0; ky < g->kernel_height; ++ky) {
        const int32_t at_y = top + ky * g->step_y;
        if (at_y < 0 || at_y >= g->height) continue;
        for (int32_t kx = 0; kx < g->kernel_width; ++kx) {
          const int32_t at_x = left + kx * g->step_x;
          if (at_x < 0 || at_x >= g->width) continue;
          *y += x[(at_y * g->width + at_x) * g->channels + c];
        }
      }
    }
  }
}
""")


@emits("max_pool")
def max_pool(f: Function, node: Node) -> None:
    _refuse_places(f, node)
    _pool(f, node, "pool_largest")


@emits("sum_pool")
def sum_pool(f: Function, node: Node) -> None:
    _pool(f, node, "pool_sum")


def _pool(f: Function, node: Node, helper: str) -> None:
    x, y = node.operands[0], node.results[0]
    window = window_of(f, node, x, y, node.attributes["kernel"])
    name = f.file.helpers.use(helper, x.dtype)
    f.call(name, f"&{window}", f.word(x), f.word(y))
