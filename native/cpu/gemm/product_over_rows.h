// A product Aᵀ · B of long matrices, as gradients of weights are: a chunk of their rows at a time,
// both copied to the order in which a register tile reads them, unless their rows are short.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/gemm/product.h"

namespace slim::SLIM_ISA_NAMESPACE {

// Some rows of a matrix, so many of its columns together.
template <class T>
class Units {
 public:
  static constexpr int kVectors = 2;
  static constexpr int64_t kWidth = kVectors * kLanes<T>;
  static constexpr int64_t kRows = kFoldK;
  static constexpr int64_t kLeastRows = 192, kManyRows = 1024;
  static constexpr int64_t kColumns = 256;  // of a task
  // A line more than they have, or all units' lines fell on few sets of L1.
  static constexpr int64_t kApart = kRows * kWidth + kAlignment / int64_t{sizeof(T)};
  static constexpr int64_t kMostBytes =
      kColumns / kWidth * kApart * int64_t{sizeof(T)} + 2 * kAlignment;

  Units(int64_t columns, T* to)
      : columns_(columns), count_((columns + kWidth - 1) / kWidth), to_(to) {}

  int64_t count() const { return count_; }
  const T* at(int64_t unit) const { return to_ + unit * kApart; }
  int64_t width(int64_t unit) const { return std::min(kWidth, columns_ - unit * kWidth); }

  // Whole vectors are read and written.
  void copy(const T* from, int64_t row, int64_t rows) const {
    const int64_t whole = columns_ / kWidth;
    for (int64_t r = 0; r < rows; ++r, from += row) {
      T* to = to_ + r * kWidth;
      for (int64_t unit = 0; unit < whole; ++unit, to += kApart) {
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          store(to + v * kLanes<T>, load(from + unit * kWidth + v * kLanes<T>));
        }
      }
      for (int64_t c = whole * kWidth; c < columns_; c += kLanes<T>) {
        store(to + c - whole * kWidth, load(from + c));
      }
    }
  }

 private:
  int64_t columns_, count_;
  T* to_;
};

// Rows of both together of so many vectors are read where they lie: a chunk of them is one stretch
// of memory, near enough to L1.
inline constexpr int64_t kNearVectors = 16;

// Whether they suit C[m, n]: a copy must be worth it, so sums are long or C has many whole units.
template <class T>
bool suits_units(int64_t m, int64_t n, int64_t k) {
  constexpr int64_t kWidth = Units<T>::kWidth, kMany = 128;
  const int64_t least = std::min(m, n);
  const bool many = least >= kMany && m % kWidth == 0 && n % kWidth == 0;
  return least >= kWidth && k >= (many ? Units<T>::kLeastRows : Units<T>::kManyRows);
}

// C in so many tasks, or in as many as are not too small.
template <class T>
Grid grid_of_units(int64_t m, int64_t n, int64_t tasks) {
  constexpr int64_t kWidth = Units<T>::kWidth, kLeast = 128;
  const auto parts = [](int64_t columns, int64_t unit, int64_t most) {
    return Parts::of_at_most((columns + unit - 1) / unit, std::max<int64_t>(most / unit, 1));
  };
  int64_t rows = Units<T>::kColumns, columns = Units<T>::kColumns;
  while (true) {
    const Grid grid{parts(m, kWidth, rows), parts(n, kLanes<T>, columns), kWidth};
    if (grid.rows.count * grid.columns.count >= tasks || std::max(rows, columns) <= kLeast) {
      return grid;
    }
    (std::min(rows, m) > std::min(columns, n) ? rows : columns) /= 2;
  }
}

// `local` has room for the units of both.
template <class T>
void run_product_over_rows(const Product<T>& product, std::byte* local) {
  const MicroTables<T>& tables = micro_tables<T>();
  const Units<T> left(product.m, reinterpret_cast<T*>(local));
  const Units<T> right(product.n, reinterpret_cast<T*>(local + Units<T>::kMostBytes));
  const bool near = product.a_k + product.b_k <= kNearVectors * kLanes<T>;
  MicroCall<T> call;
  call.a_row = 1;
  call.a_k = near ? product.a_k : Units<T>::kWidth;
  call.b_k = near ? product.b_k : Units<T>::kWidth;
  call.c_row = product.c_row;
  for (int64_t p = 0; p < product.k; p += Units<T>::kRows) {
    call.k = std::min(Units<T>::kRows, product.k - p);
    call.accumulate = p > 0;
    call.finish = p + call.k == product.k ? &product.finish : nullptr;
    const T* a = product.a + p * product.a_k;
    const T* b = product.b + p * product.b_k;
    if (!near) {
      left.copy(a, product.a_k, call.k);
      right.copy(b, product.b_k, call.k);
    }
    for (int64_t i = 0; i < left.count(); ++i) {
      const Parts strips = Parts::of_at_most(left.width(i), most_rows(Units<T>::kVectors));
      for (int64_t j = 0; j < right.count(); ++j) {
        const int64_t vectors = (right.width(j) + kLanes<T> - 1) / kLanes<T>;
        call.b = near ? b + j * Units<T>::kWidth : right.at(j);
        call.last_columns = right.width(j) - (vectors - 1) * kLanes<T>;
        call.column = j * Units<T>::kWidth;
        for (int64_t strip = 0; strip < strips.count; ++strip) {
          const int64_t row = strips.begin(strip), rows = strips.end(strip) - row;
          call.a = (near ? a + i * Units<T>::kWidth : left.at(i)) + row;
          call.row = i * Units<T>::kWidth + row;
          call.c = product.c + call.row * call.c_row + call.column;
          if (product.c_far) prefetch_tile(call, rows, vectors);
          tables.full[static_cast<size_t>(rows - 1)][static_cast<size_t>(vectors - 1)](call);
        }
      }
    }
  }
}

}  // namespace slim::SLIM_ISA_NAMESPACE
