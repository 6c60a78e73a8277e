// One row by a matrix that caches near a core do not hold: its rows stream by, some at a time,
// whole or in long parts, as memory hands them out fastest.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/gemm/product.h"

namespace slim::SLIM_ISA_NAMESPACE {

inline constexpr int kStreamedRows = 8;  // of B
// Sums wait in the scratch of a product.
template <class T>
inline constexpr int64_t kMostStreamed = kPanelBytes / int64_t{sizeof(T)};

// sums += a · B, of `rows` rows of B; each a chain of fma that goes on.
template <class T, int rows>
void add_streamed(const Product<T>& product, int64_t k, T* sums) {
  Vec<T> left[rows];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) left[i] = broadcast<Vec<T>>(product.a[(k + i) * product.a_k]);
  const T* b = product.b + k * product.b_k;
  for (int64_t j = 0; j < product.n; j += kLanes<T>) {
    Vec<T> sum = load(sums + j);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) sum = fma(left[i], load(b + i * product.b_k + j), sum);
    store(sums + j, sum);
  }
}

// The bits are those of run_product. B's columns follow each other.
template <class T>
void run_row_product(const Product<T>& product, ProductScratch<T> scratch) {
  T* sums = scratch.panel;
  const auto put = [&](int64_t j, Vec<T> sum) {
    if (product.n - j >= kLanes<T>) {
      store(product.c + j, sum);
    } else {
      store_partial(product.c + j, sum, product.n - j);
    }
  };
  for (int64_t p = 0; p < product.k; p += kFoldK) {
    const int64_t end = std::min(p + kFoldK, product.k);
    for (int64_t j = 0; j < product.n; j += kLanes<T>) store(sums + j, Vec<T>{});
    int64_t k = p;
    for (; k + kStreamedRows <= end; k += kStreamedRows) {
      add_streamed<T, kStreamedRows>(product, k, sums);
    }
    for (; k < end; ++k) add_streamed<T, 1>(product, k, sums);
    for (int64_t j = 0; j < product.n; j += kLanes<T>) {
      put(j, p > 0 ? load(product.c + j) + load(sums + j) : load(sums + j));
    }
  }
  finish_rows(product.c, product.c_row, 1, product.n, product.finish);
}

}  // namespace slim::SLIM_ISA_NAMESPACE
