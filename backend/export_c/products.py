"""Products and convolutions, which end in a formula."""

from __future__ import annotations

import math

from slimlearn.backend.export_c.errors import NotExportable, place_of
from slimlearn.backend.export_c.helpers import Helpers
from slimlearn.backend.export_c.writing import Function, Room, count_of, emits
from slimlearn.backend.graph import Node, Tensor

__all__ = ["window_of"]

Helpers.define("""
/* matmul: y[m,n] = a[m,k] b[k,n], four columns at a time. */
static void NAME(int32_t m, int32_t k, int32_t n, const TYPE *a, const TYPE *b,
                 TYPE *y) {
  for (int32_t i = 0; i < m; ++i, a += k, y += n) {
    int32_t j = 0;
    for (; j + 4 <= n; j += 4) {
      TYPE s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      const TYPE *w = b + j;
      for (int32_t l = 0; l < k; ++l, w += n) {
        s0 += a[l] * w[0];
        s1 += a[l] * w[1];
        s2 += a[l] * w[2];
        s3 += a[l] * w[3];
      }
      y[j] = s0;
      y[j + 1] = s1;
      y[j + 2] = s2;
      y[j + 3] = s3;
    }
    for (; j < n; ++j) {
      TYPE sum = 0;
      for (int32_t l = 0; l < k; ++l) sum += a[l] * b[l * n + j];
      y[j] = sum;
    }
  }
}
""")

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
/* window: Of a convolution or a pooling over [height, width, channels]. */
typedef struct {
  int32_t height, width, channels, out_height, out_width, out_channels;
  int32_t kernel_height, kernel_width, stride_y, stride_x, top, left, step_y, step_x;
  int32_t groups, pool_height, pool_width;
} NAME;
""")

Helpers.define("""
/* convolve: Of each pooled window the largest number of a convolution; y has whole
 * pixels. */
static void NAME(const USE(window) * g, const TYPE *x, const TYPE *filters, TYPE *y) {
  const int32_t depth = g->channels / g->groups, outs = g->out_channels / g->groups;
  for (int32_t i = 0; i < g->out_height * g->out_width; ++i, y += g->out_channels) {
    for (int32_t p = 0; p < g->pool_height * g->pool_width; ++p) {
      const int32_t row = i / g->out_width * g->pool_height + p / g->pool_width;
      const int32_t column = i % g->out_width * g->pool_width + p % g->pool_width;
      const int32_t top = row * g->stride_y - g->top,
                    left = column * g->stride_x - g->left;
      for (int32_t group = 0; group < g->groups; ++group) {
        for (int32_t j = 0; j < outs; j += 4) {
          const int32_t lanes = outs - j < 4 ? outs - j : 4;
          TYPE sum[4] = {0};
          for (int32_t ky = 0; ky < g->kernel_height; ++ky) {
            const int32_t at_y = top + ky * g->step_y;
            if (at_y < 0 || at_y >= g->height) continue;
            for (int32_t kx = 0; kx < g->kernel_width; ++kx) {
              const int32_t at_x = left + kx * g->step_x;
              if (at_x < 0 || at_x >= g->width) continue;
              const TYPE *pixel =
                  x + (at_y * g->width + at_x) * g->channels + group * depth;
              const TYPE *w = filters +
                              (ky * g->kernel_width + kx) * depth * g->out_channels +
                              group * outs + j;
              if (lanes == 4) {
                for (int32_t c = 0; c < depth; ++c, w += g->out_channels) {
                  sum[0] += pixel[c] * w[0];
                  sum[1] += pixel[c] * w[1];
                  sum[2] += pixel[c] * w[2];
                  sum[3] += pixel[c] * w[3];
                }
              } else {
                for (int32_t c = 0; c < depth; ++c, w += g->out_channels) {
                  for (int32_t lane = 0; lane < lanes; ++lane)
                    sum[lane] += pixel[c] * w[lane];
                }
              }
            }
          }
          for (int32_t lane = 0; lane < lanes; ++lane) {
            TYPE *out = y + group * outs + j + lane;
            if (p == 0 || sum[lane] > *out) *out = sum[lane];
          }
        }
      }
    }
  }
}
""")

Helpers.define("""
/* convolve_back: Each pixel of x times the filters, added where they lie in y:
 * transposed. */
static void NAME(const USE(window) * g, const TYPE *x, const TYPE *filters, TYPE *y) {
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


def product_type(node: Node) -> Tensor:
    """What stands before the formula that a product ends in."""
    return node.regions[0].parameters[0] if node.regions else node.results[0]


def _room(f: Function, node: Node) -> list[Room]:
    product, result = product_type(node), node.results[0]
    if product.dtype == result.dtype and count_of(product) == count_of(result):
        return []
    return [Room(product.dtype, count_of(product))]


def _target(f: Function, node: Node) -> str:
    return f.room(node, 0) if f.rooms[node] else f.word(node.results[0])


def _finish(f: Function, node: Node, target: str) -> None:
    """The formula behind a product."""
    if node.regions:
        operands, results = f.words_of(node)
        f.apply(node, [target, *operands[2:]], results)


@emits("matmul", room=_room)
def matmul(f: Function, node: Node) -> None:
    a, b = node.operands[:2]
    turn_a, turn_b = node.attributes["transpose_a"], node.attributes["transpose_b"]
    product, target = product_type(node), _target(f, node)
    k = a.shape[-2 if turn_a else -1]
    n = product.shape[-1]
    each = b.rank > 2
    m = a.shape[-1] if turn_a else a.shape[-2] if each else count_of(a) // k
    batch = math.prod(a.shape[:-2]) if each or turn_a else 1
    words = [f.word(a), f.word(b), target]
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
    else:
        name = f.file.helpers.use("matmul", a.dtype)
        f.call(name, m, k, n, *words)
    if batch > 1:
        f.close()
    _finish(f, node, target)


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


@emits("convolution", room=_room)
def convolution(f: Function, node: Node) -> None:
    x, filters = node.operands[:2]
    product, target = product_type(node), _target(f, node)
    window = window_of(f, node, x, product, filters.shape[:-2])
    name = f.file.helpers.use("convolve", x.dtype)
    f.call(name, f"&{window}", f.word(x), f.word(filters), target)
    _finish(f, node, target)


@emits("convolution_input_grad", room=_room)
def convolution_input_grad(f: Function, node: Node) -> None:
    x, filters = node.operands[:2]
    product, target = product_type(node), _target(f, node)
    window = window_of(f, node, product, x, filters.shape[:-2])
    name = f.file.helpers.use("convolve_back", x.dtype)
    f.call(name, f"&{window}", f.word(x), f.word(filters), target)
    _finish(f, node, target)


@emits("pooled_convolution")
def pooled_convolution(f: Function, node: Node) -> None:
    x, filters = node.operands[:2]
    y, pool = node.results[0], node.attributes["pool"]
    _refuse_places(f, node)
    window = window_of(f, node, x, y, filters.shape[:-2], pool)
    name = f.file.helpers.use("convolve", x.dtype)
    f.call(name, f"&{window}", f.word(x), f.word(filters), f.word(y))
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
static void NAME(const USE(window) * g, const TYPE *x, TYPE *y) {
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
static void NAME(const USE(window) * g, const TYPE *x, TYPE *y) {
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
