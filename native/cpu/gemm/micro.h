// The register tile of matmul: rows × vectors of C, every element a chain of fma over one
// block of k, added to what the blocks before it came to.
#pragma once

#include <array>
#include <cstdint>

#include "cpu/gemm/finish.h"

namespace slim::SLIM_ISA_NAMESPACE {

// Where A's strip lies whole.
inline constexpr int64_t kOneSegment[1] = {0};

// C tile (+)= A strip · B panel over at most kFoldK of k. Strides in elements; a panel's
// vectors are contiguous. A may lie in segments of k elements each, B goes on behind one.
template <class T>
struct MicroCall {
  int64_t k;  // of a segment
  int64_t segments = 1;
  const int64_t* segment = kOneSegment;  // where each begins in a
  const T* a;
  int64_t a_row, a_k;
  const T* b;
  int64_t b_k;
  T* c;
  int64_t c_row;
  bool accumulate;              // add to the sum of the blocks before, which stands in C
  int64_t last_columns;         // of the last vector, 1 … its lanes
  const Finish<T>* finish;      // null: blocks follow in later calls
  int64_t row = 0, column = 0;  // of the tile, as the finish counts them
};

template <class T>
using MicroKernel = void (*)(const MicroCall<T>& call);

template <class V, int rows, int vectors>
void micro(const MicroCall<Lane<V>>& call) {
  using T = Lane<V>;
  constexpr int64_t kStep = sizeof(V) / sizeof(T);
  V sum[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) sum[i][j] = V{};
  }

  // Three rows share a pointer: base, base + stride, base + 2·stride.
  constexpr int kGroups = (rows + 2) / 3;
  const int64_t a_row = call.a_row, a_k = call.a_k, b_k = call.b_k;
  const T* b = call.b;
  for (int64_t segment = 0; segment < call.segments; ++segment) {
    const T* a[kGroups];
#pragma GCC unroll 8
    for (int g = 0; g < kGroups; ++g) a[g] = call.a + call.segment[segment] + 3 * g * a_row;
    for (int64_t p = call.k; p > 0; --p) {
      V right[vectors];
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j) right[j] = load_as<V>(b + j * kStep);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const V left = broadcast<V>(a[i / 3][(i % 3) * a_row]);
#pragma GCC unroll 8
        for (int j = 0; j < vectors; ++j) sum[i][j] = fma(left, right[j], sum[i][j]);
      }
#pragma GCC unroll 8
      for (int g = 0; g < kGroups; ++g) a[g] += a_k;
      b += b_k;
    }
  }

  if (call.accumulate) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j) {
        sum[i][j] = load_as<V>(call.c + i * call.c_row + j * kStep) + sum[i][j];
      }
    }
  }
  if (call.finish != nullptr) finish_sums(sum, *call.finish, call.row, call.column);
  const bool full = call.last_columns == kStep;
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
    T* c = call.c + i * call.c_row;
#pragma GCC unroll 8
    for (int j = 0; j + 1 < vectors; ++j) store(c + j * kStep, sum[i][j]);
    T* last = c + (vectors - 1) * kStep;
    if (full) {
      store(last, sum[i][vectors - 1]);
    } else {
      store_partial(last, sum[i][vectors - 1], call.last_columns);
    }
  }
}

// The most rows of a tile of so many vectors: its sums, a panel's vectors and one of A must
// fit the registers.
constexpr int most_rows(int vectors) {
  constexpr bool kWide = kVectorRegisters == 32;
  switch (vectors) {
    case 1:
      return kWide ? 16 : 8;
    case 2:
      return kWide ? 12 : 6;
    case 3:
      return kWide ? 8 : 4;
    case 4:
      return kWide ? 6 : 2;
    case 6:
      return kWide ? 4 : 1;
    case 8:
      return kWide ? 2 : 1;
    default:
      return 0;
  }
}

inline constexpr int kMostRows = 16;
inline constexpr int kMostVectors = 8;

// By [rows - 1][vectors - 1]; null where the tile does not fit. A tile of five or seven
// vectors is not planned, but is what a balanced split of planned ones leaves.
template <class T>
using MicroTable = std::array<std::array<MicroKernel<T>, kMostVectors>, kMostRows>;

template <class T>
struct MicroTables {
  MicroTable<T> full;
  std::array<MicroKernel<T>, kMostRows> half;  // by [rows - 1]: one half vector
};

template <class T>
const MicroTables<T>& micro_tables();

}  // namespace slim::SLIM_ISA_NAMESPACE
