// Copies parts of B into the order in which a register tile reads them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/vec.h"

namespace slim::SLIM_ISA_NAMESPACE {

// Squares are transposed in vectors of at most 32 bytes.
inline constexpr int kSquareBytes = kVectorBytes < 32 ? kVectorBytes : 32;
template <class T>
inline constexpr int kSquare = kSquareBytes / static_cast<int>(sizeof(T));

template <class V, int n, bool high>
SLIM_INLINE V interleave(V a, V b) {
  constexpr int h = high ? n / 2 : 0;
  if constexpr (n == 2) {
    return __builtin_shufflevector(a, b, h, n + h);
  } else if constexpr (n == 4) {
    return __builtin_shufflevector(a, b, h, n + h, h + 1, n + h + 1);
  } else {
    static_assert(n == 8);
    return __builtin_shufflevector(a, b, h, n + h, h + 1, n + h + 1, h + 2, n + h + 2, h + 3,
                                   n + h + 3);
  }
}

// dst[j][i] = src[i][j] for a square, by interleaving its halves log2(n) times.
template <class T>
SLIM_INLINE void transpose_square(const T* src, int64_t src_row, T* dst, int64_t dst_row) {
  constexpr int n = kSquare<T>;
  using V = typename VectorOf<T, kSquareBytes>::type;
  V v[n], w[n];
#pragma GCC unroll 8
  for (int i = 0; i < n; ++i) __builtin_memcpy(&v[i], src + i * src_row, sizeof(V));
#pragma GCC unroll 3
  for (int stage = 1; stage < n; stage *= 2) {
#pragma GCC unroll 4
    for (int i = 0; i < n / 2; ++i) {
      w[2 * i] = interleave<V, n, false>(v[i], v[i + n / 2]);
      w[2 * i + 1] = interleave<V, n, true>(v[i], v[i + n / 2]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; ++i) v[i] = w[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < n; ++i) __builtin_memcpy(dst + i * dst_row, &v[i], sizeof(V));
}

// dst[j][i] = src[i][j], rows × columns of src.
template <class T>
void transpose_block(const T* src, int64_t src_row, int64_t rows, int64_t columns, T* dst,
                     int64_t dst_row) {
  constexpr int n = kSquare<T>;
  const int64_t whole_rows = rows / n * n, whole_columns = columns / n * n;
  for (int64_t i = 0; i < whole_rows; i += n) {
    for (int64_t j = 0; j < whole_columns; j += n) {
      transpose_square(src + i * src_row + j, src_row, dst + j * dst_row + i, dst_row);
    }
    for (int64_t j = whole_columns; j < columns; ++j) {
      for (int64_t r = i; r < i + n; ++r) dst[j * dst_row + r] = src[r * src_row + j];
    }
  }
  for (int64_t i = whole_rows; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) dst[j * dst_row + i] = src[i * src_row + j];
  }
}

// rows × columns of src at row stride dst_row >= columns; whole vectors are read and written.
template <class T>
void copy_block(const T* src, int64_t src_row, int64_t rows, int64_t columns, T* dst,
                int64_t dst_row) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; j += kLanes<T>) {
      store(dst + i * dst_row + j, load(src + i * src_row + j));
    }
  }
}

}  // namespace slim::SLIM_ISA_NAMESPACE
