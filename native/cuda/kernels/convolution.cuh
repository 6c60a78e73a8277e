// Convolutions as products: gemm.cuh reads their operands through functors. A Window here also has
// channels and outputs (of a group) and groups. Filters: [taps, channels, groups · outputs].
#pragma once
#include "cuda/kernels/gemm.cuh"
#include "cuda/kernels/reduce.cuh"
#include "cuda/kernels/window.cuh"

namespace slim {

// i: a pixel of y of all images; k: a tap and a channel.
template <class T, class Window>
struct ReadForward {
  typedef Windows<Window> W;
  static constexpr bool along_k = true;
  struct Outer {
    const T* image;
    Place3 corner;
  };
  struct Inner {
    Place3 reach;
    int channel;
  };
  const T* x;  // of the group

  __device__ Outer outer(int i) const {
    const long long image = i / W::y_pixels;
    return {x + image * (W::x_pixels * Window::channels * Window::groups),
            W::corner(i % W::y_pixels)};
  }
  __device__ Inner inner(int k) const {
    return {W::reach(k / Window::channels), k % Window::channels};
  }
  __device__ T load(const Outer& outer, const Inner& inner) const {
    const int at = W::x_pixel(outer.corner, inner.reach);
    return at < 0 ? T(0) : outer.image[at * (Window::channels * Window::groups) + inner.channel];
  }
};

// i: a pixel of x of all images; k: a tap and an output.
template <class T, class Window>
struct ReadBackward {
  typedef Windows<Window> W;
  static constexpr bool along_k = true;
  struct Outer {
    const T* image;
    Place3 padded;
  };
  struct Inner {
    Place3 reach;
    int output;
  };
  const T* dy;  // of the group

  __device__ Outer outer(int i) const {
    const long long image = i / W::x_pixels;
    return {dy + image * (W::y_pixels * Window::outputs * Window::groups),
            W::padded(i % W::x_pixels)};
  }
  __device__ Inner inner(int k) const {
    return {W::reach(k / Window::outputs), k % Window::outputs};
  }
  __device__ T load(const Outer& outer, const Inner& inner) const {
    const int at = W::y_pixel(outer.padded, inner.reach);
    return at < 0 ? T(0) : outer.image[at * (Window::outputs * Window::groups) + inner.output];
  }
};

// i: a channel; k: a tap and an output.
template <class T, class Window>
struct ReadFilters {
  static constexpr bool along_k = true;
  using Outer = int;
  using Inner = int;
  static constexpr int row = Window::outputs * Window::groups;
  const T* filters;  // of the group

  __device__ int outer(int i) const { return i * row; }
  __device__ int inner(int k) const {
    return k / Window::outputs * (Window::channels * row) + k % Window::outputs;
  }
  __device__ T load(int outer, int inner) const { return filters[outer + inner]; }
};

// i: a tap and a channel; k: a pixel of y of all images.
template <class T, class Window>
struct ReadTaps {
  typedef Windows<Window> W;
  static constexpr bool along_k = false;
  struct Outer {
    Place3 reach;
    int channel;
  };
  struct Inner {
    const T* image;
    Place3 corner;
  };
  const T* x;  // of the group

  __device__ Outer outer(int i) const {
    return {W::reach(i / Window::channels), i % Window::channels};
  }
  __device__ Inner inner(int k) const {
    const long long image = k / W::y_pixels;
    return {x + image * (W::x_pixels * Window::channels * Window::groups),
            W::corner(k % W::y_pixels)};
  }
  __device__ T load(const Outer& outer, const Inner& inner) const {
    const int at = W::x_pixel(inner.corner, outer.reach);
    return at < 0 ? T(0) : inner.image[at * (Window::channels * Window::groups) + outer.channel];
  }
};

// The three products: what they read of a group, and how many columns it has.
template <class T, class Window>
struct Forward {
  static constexpr int columns = Window::outputs, groups = Window::groups;
  static __device__ ReadForward<T, Window> left(const T* x, int group) {
    return {x + group * Window::channels};
  }
  static __device__ Matrix<T, false> right(const T* filters, int group) {
    return {filters + group * Window::outputs, Window::outputs * Window::groups};
  }
};
template <class T, class Window>
struct InputGrad {
  static constexpr int columns = Window::channels, groups = Window::groups;
  static __device__ ReadBackward<T, Window> left(const T* dy, int group) {
    return {dy + group * Window::outputs};
  }
  static __device__ ReadFilters<T, Window> right(const T* filters, int group) {
    return {filters + group * Window::outputs};
  }
};
template <class T, class Window>
struct FilterGrad {
  static constexpr int columns = Window::outputs, groups = Window::groups;
  static __device__ ReadTaps<T, Window> left(const T* x, int group) {
    return {x + group * Window::channels};
  }
  static __device__ Matrix<T, false> right(const T* dy, int group) {
    return {dy + group * Window::outputs, Window::outputs * Window::groups};
  }
};

// [slice, m, groups · columns].
template <class T, class Tile, int pieces, class Kind, class S, class Store>
__device__ void convolve(const S* a, const S* b, Product product, const Store& store) {
  Part part;
  if (!Part::find<Tile>(product, &part)) return;
  constexpr int n = Kind::columns, row = n * Kind::groups;
  const int group = static_cast<int>(part.batch);
  const long long first = part.result / product.batches * product.m * row + group * n;
  gemm<T, Tile, pieces>(
      Kind::left(a, group), Kind::right(b, group), product.m, n, part.row, part.column, part.order,
      [&](int i, int j, T sum) { store(first + static_cast<long long>(i) * row + j, sum); });
}

// The same where a group has a few columns only: a team of threads for an element, most of one
// where its terms are few. Teams beside each other read neighbouring channels.
template <class T, class Team, class Kind, class S, class Store>
__device__ void convolve_few(const S* a, const S* b, Product product, const Store& store) {
  constexpr int n = Kind::columns, row = n * Kind::groups;
  const long long results = static_cast<long long>(product.m) * row;
  const long long slice = block() % product.slices;
  const long long first = block() / product.slices * Team::across;
  if (first >= results) return;
  const long long result = first + Team::number();
  T sum = T(0);
  if (result < results) {
    const int column = static_cast<int>(result % row), group = column / n;
    const auto left = Kind::left(a, group);
    const auto right = Kind::right(b, group);
    const auto left_row = left.outer(static_cast<int>(result / row));
    const auto right_row = right.outer(column % n);
    const int begin = static_cast<int>(slice) * product.slice;
    const int end = begin + product.slice < product.k ? begin + product.slice : product.k;
    for (int k = begin + Team::lane(); k < end; k += Team::down) {
      sum = fused(left.load(left_row, left.inner(k)), right.load(right_row, right.inner(k)), sum);
    }
  }
  sum = Team::template fold<Add<T>>(sum);
  if (result < results && Team::lane() == 0) store(slice * results + result, sum);
}

}  // namespace slim
