// What happens to finished sums while they are in registers.
#pragma once

#include <cstdint>

#include "cpu/math.h"
#include "cpu/vec.h"

namespace slim::SLIM_ISA_NAMESPACE {

// In this order; null or false: nothing. Of C's first element: a row has one for each column.
template <class T>
struct Finish {
  const T* shift = nullptr;  // a row: - shift
  const T* scale = nullptr;  // a row: * scale
  const T* bias = nullptr;   // a row: + bias
  const T* added = nullptr;  // whole: + added
  bool relu = false;
  bool capped = false;      // minimum(value, cap)
  T cap = 0;                // neither zero nor NaN
  const T* mask = nullptr;  // whole: mask > 0 ? value : 0 (relu_grad)
  int64_t added_row = 0, mask_row = 0;

  bool nothing() const {
    return shift == nullptr && scale == nullptr && bias == nullptr && added == nullptr && !relu &&
           !capped && mask == nullptr;
  }
  // Of the element so many rows and columns on.
  Finish at(int64_t row, int64_t column) const {
    Finish moved = *this;
    for (const T** of_column : {&moved.shift, &moved.scale, &moved.bias}) {
      if (*of_column != nullptr) *of_column += column;
    }
    if (added != nullptr) moved.added += row * added_row + column;
    if (mask != nullptr) moved.mask += row * mask_row + column;
    return moved;
  }
  // As `whole` from this row on; what is the same in all rows stays.
  void begin_at(const Finish& whole, int64_t row) {
    if (whole.added != nullptr) added = whole.added + row * whole.added_row;
    if (whole.mask != nullptr) mask = whole.mask + row * whole.mask_row;
  }
  // Of rows that lie so many apart.
  Finish every(int64_t step) const {
    Finish apart = *this;
    apart.added_row *= step;
    apart.mask_row *= step;
    return apart;
  }
};

// Of the rows and columns of C that begin at these.
template <class V, int rows, int vectors>
SLIM_INLINE void finish_sums(V (&sum)[rows][vectors], const Finish<Lane<V>>& finish, int64_t row,
                             int64_t column) {
  using T = Lane<V>;
  constexpr int64_t kStep = sizeof(V) / sizeof(T);
  const auto each = [&](auto&& change) {
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) change(j, column + j * kStep);
  };
  if (finish.shift != nullptr) {
    each([&](int j, int64_t at) {
      const V shift = load_as<V>(finish.shift + at);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) sum[i][j] = sum[i][j] - shift;
    });
  }
  if (finish.scale != nullptr) {
    each([&](int j, int64_t at) {
      const V scale = load_as<V>(finish.scale + at);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) sum[i][j] = sum[i][j] * scale;
    });
  }
  if (finish.bias != nullptr) {
    each([&](int j, int64_t at) {
      const V bias = load_as<V>(finish.bias + at);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) sum[i][j] = sum[i][j] + bias;
    });
  }
  if (finish.added != nullptr) {
    each([&](int j, int64_t at) {
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        sum[i][j] = sum[i][j] + load_as<V>(finish.added + (row + i) * finish.added_row + at);
      }
    });
  }
  if (finish.relu) {
    each([&](int j, int64_t) {
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) sum[i][j] = relu(sum[i][j]);
    });
  }
  if (finish.capped) {
    const V cap = broadcast<V>(finish.cap);
    each([&](int j, int64_t) {
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) sum[i][j] = min_or_second(cap, sum[i][j]);
    });
  }
  if (finish.mask != nullptr) {
    each([&](int j, int64_t at) {
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        sum[i][j] =
            relu_grad(sum[i][j], load_as<V>(finish.mask + (row + i) * finish.mask_row + at));
      }
    });
  }
}

// As finish_sums would have done it.
template <class T>
void finish_rows(T* c, int64_t c_row, int64_t m, int64_t n, const Finish<T>& finish) {
  if (finish.nothing()) return;
  for (int64_t i = 0; i < m; ++i, c += c_row) {
    for (int64_t j = 0; j < n; j += kLanes<T>) {
      Vec<T> v[1][1] = {{load(c + j)}};
      finish_sums(v, finish, i, j);
      if (n - j >= kLanes<T>) {
        store(c + j, v[0][0]);
      } else {
        store_partial(c + j, v[0][0], n - j);
      }
    }
  }
}

}  // namespace slim::SLIM_ISA_NAMESPACE
