// The register kernel of depthwise convolutions: some pixels by two vectors of outputs.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "cpu/conv/spread.h"
#include "cpu/conv/window_lines.h"
#include "cpu/gemm/product.h"
#include "cpu/lanes.h"

namespace slim::SLIM_ISA_NAMESPACE {

constexpr int kPixels = 7;  // by two vectors: with the filters of a tap all of 16 registers

// The outputs of some pixels of a row.
template <class T>
struct PixelCall {
  const Tap* taps;  // their numbers: where their filters begin
  int64_t count;
  const T* x;
  int64_t x_step;
  const T* filters;
  T* y;
  int64_t y_step;
  int64_t outputs;
  const Spread<T>* spread;  // null: every output reads its own channel
  Finish<T> finish;
  Prefetcher* next = nullptr;  // of what is read later
};

template <class T, int pixels, int vectors, bool spread>
SLIM_INLINE void pixel_block(const PixelCall<T>& call, int64_t o, int64_t lanes) {
  constexpr int64_t kStep = kLanes<T>;
  Vec<T> sum[pixels][vectors];
#pragma GCC unroll 8
  for (int i = 0; i < pixels; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < vectors; ++j) sum[i][j] = Vec<T>{};
  }
  const T* x = call.x + (spread ? call.spread->channel(o) : o);
  [[maybe_unused]] Mask<Vec<T>> from;
  if constexpr (spread) from = call.spread->from(o);
  const int64_t step = call.x_step;
  for (int64_t t = 0; t < call.count; ++t) {
    const T* f = call.filters + call.taps[t].number + o;
    Vec<T> w[vectors];
#pragma GCC unroll 2
    for (int j = 0; j < vectors; ++j) w[j] = load(f + j * kStep);
    const T* p[3];  // three pixels share a pointer: base, base + step, base + 2·step
    p[0] = x + call.taps[t].source;
    p[1] = p[0] + 3 * step;
    p[2] = p[1] + 3 * step;
#pragma GCC unroll 8
    for (int i = 0; i < pixels; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < vectors; ++j) {
        Vec<T> v = load(p[i / 3] + (i % 3) * step + j * kStep);
        if constexpr (spread) v = permute(v, from);
        sum[i][j] = fma(v, w[j], sum[i][j]);
      }
    }
  }
  finish_sums(sum, call.finish, 0, o);
#pragma GCC unroll 2
  for (int j = 0; j < vectors; ++j) {
    const int64_t at = o + j * kStep;
#pragma GCC unroll 8
    for (int i = 0; i < pixels; ++i) {
      T* y = call.y + i * call.y_step + at;
      if (j + 1 < vectors || lanes == kStep) {
        store(y, sum[i][j]);
      } else {
        store_first(y, sum[i][j], lanes);
      }
    }
  }
}

// Pairs of vectors are whole lines of memory. A rest goes into a vector that ends with the
// outputs, where there are so many: what it writes again has the same bits.
template <class T, int pixels, bool spread>
void pixel_row(const PixelCall<T>& call) {
  constexpr int64_t kStep = kLanes<T>;
  constexpr int kPair = spread ? 1 : 2;
  const int64_t n = call.outputs;
  int64_t o = 0;
  for (; o + kPair * kStep <= n; o += kPair * kStep) {
    if (call.next != nullptr) call.next->advance();
    pixel_block<T, pixels, kPair, spread>(call, o, kStep);
  }
  for (; o < n; o += kStep) {
    if (n >= kStep) {
      pixel_block<T, pixels, 1, spread>(call, std::min(o, n - kStep), kStep);
    } else {
      pixel_block<T, pixels, 1, spread>(call, o, n - o);
    }
  }
}

template <class T>
using PixelRow = void (*)(const PixelCall<T>&);

// The row for 1 … kPixels pixels.
template <class T, bool spread>
PixelRow<T> pixel_row_of(int64_t pixels) {
  static constexpr auto kTable = []<int... i>(std::integer_sequence<int, i...>) {
    return std::array<PixelRow<T>, kPixels>{pixel_row<T, i + 1, spread>...};
  }(std::make_integer_sequence<int, kPixels>());
  return kTable[static_cast<size_t>(pixels - 1)];
}

}  // namespace slim::SLIM_ISA_NAMESPACE
