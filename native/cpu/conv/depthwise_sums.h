// The register kernel of depthwise filter gradients: the sums of some taps over pixels.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "cpu/conv/spread.h"
#include "cpu/lanes.h"

namespace slim::SLIM_ISA_NAMESPACE {

inline constexpr int kTapRows = 4, kTapColumns = 7;  // of a kernel, at most
inline constexpr int kMostSums = 12;                 // that registers hold beside what they add

// Sums for taps in rows, of which each begins at sums[row] and reads from x[row] on.
template <class T>
struct SumCall {
  const T* x[kTapRows];
  T* sums[kTapRows];
  int64_t sums_step;  // from a tap to the next one of its row
  int64_t tap_step;   // the same in x
  const T* dy;
  int64_t pixels, x_step, dy_step;
  int64_t lines = 1, x_line = 0, dy_line = 0;
  int64_t first, last;  // outputs; sums begin with the first
  const Spread<T>* spread;
};

template <class T, int rows, int columns, bool spread>
void add_taps(const SumCall<T>& call) {
  for (int64_t o = call.first; o < call.last; o += kLanes<T>) {
    Vec<T> sum[rows][columns];
    const T* x[rows][(columns + 2) / 3];  // three taps share a pointer
    const int64_t channel = spread ? call.spread->channel(o) : o;
    [[maybe_unused]] Mask<Vec<T>> from;
    if constexpr (spread) from = call.spread->from(o);
#pragma GCC unroll 4
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < columns; ++j) {
        sum[i][j] = load(call.sums[i] + j * call.sums_step + o - call.first);
        if (j % 3 == 0) x[i][j / 3] = call.x[i] + j * call.tap_step + channel;
      }
    }
    const T* dy = call.dy + o;
    for (int64_t line = call.lines; line > 0; --line) {
      for (int64_t pixel = call.pixels; pixel > 0; --pixel) {
        const Vec<T> d = load(dy);
#pragma GCC unroll 4
        for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
          for (int j = 0; j < columns; ++j) {
            Vec<T> v = load(x[i][j / 3] + (j % 3) * call.tap_step);
            if constexpr (spread) v = permute(v, from);
            sum[i][j] = fma(v, d, sum[i][j]);
            if (j % 3 == 2 || j + 1 == columns) x[i][j / 3] += call.x_step;
          }
        }
        dy += call.dy_step;
      }
#pragma GCC unroll 4
      for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
        for (int j = 0; j < (columns + 2) / 3; ++j) x[i][j] += call.x_line;
      }
      dy += call.dy_line;
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < columns; ++j) {
        store(call.sums[i] + j * call.sums_step + o - call.first, sum[i][j]);
      }
    }
  }
}

template <class T>
using AddTaps = void (*)(const SumCall<T>&);

template <class T, int rows, int columns, bool spread>
constexpr AddTaps<T> add_taps_if_held() {
  if constexpr (rows * columns <= kMostSums) return add_taps<T, rows, columns, spread>;
  return nullptr;
}

// Of 1 … kTapRows rows of 1 … kTapColumns taps; null where there are too many.
template <class T, bool spread>
AddTaps<T> add_taps_of(int64_t rows, int64_t columns) {
  static constexpr auto kTable = []<int... at>(std::integer_sequence<int, at...>) {
    return std::array<AddTaps<T>, sizeof...(at)>{
        add_taps_if_held<T, at / kTapColumns + 1, at % kTapColumns + 1, spread>()...};
  }(std::make_integer_sequence<int, kTapRows * kTapColumns>());
  return kTable[static_cast<size_t>((rows - 1) * kTapColumns + columns - 1)];
}

}  // namespace slim::SLIM_ISA_NAMESPACE
