// One task of matmul: C tile = A block · B block, over blocks of k, panels and strips.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/gemm/pack.h"
#include "cpu/gemm/plan.h"

namespace slim::SLIM_ISA_NAMESPACE {

// C[m, n] = A[m, k] · B[k, n], strides in elements. One of B's strides is 1.
template <class T>
struct Product {
  int64_t m, n, k;
  const T* a;
  int64_t a_row, a_k;
  const T* b;
  int64_t b_k, b_column;
  T* c;
  int64_t c_row;
  Finish<T> finish;  // bias and mask at C's first element
};

// Scratch of one product: a packed panel of B, a packed block of A.
template <class T>
struct ProductScratch {
  static constexpr int64_t kPanel = kPanelBytes + kMostVectors * kVectorBytes;
  static constexpr int64_t kBytes = kPanel + kBlockBytes;

  T* panel;
  T* block;

  explicit ProductScratch(std::byte* local)
      : panel(reinterpret_cast<T*>(local)), block(reinterpret_cast<T*>(local + kPanel)) {}
};

template <class T>
void run_product(const Product<T>& product, const MicroTile& tile, ProductScratch<T> scratch) {
  const MicroTable<T>& table = micro_table<T>();
  constexpr int64_t kLane = kLanes<T>;
  constexpr int64_t kSize = sizeof(T);
  const Parts strips = Parts::of_at_most(product.m, tile.rows);
  const Parts panels = Parts::of_at_most((product.n + kLane - 1) / kLane, tile.vectors);
  const int64_t width = panels.largest() * kLane;
  const bool transposed = product.b_column != 1;
  // Rows of B far apart fall on few sets of L1; a panel read often is worth a copy.
  const bool pack_b = transposed || (product.b_k * kSize >= 1024 && strips.count >= 8);
  // The same for A read down its columns, if its block does not stay in L1 by itself.
  const bool pack_a = product.a_row == 1 && product.a_k != 1 && panels.count > 1 &&
                      product.m * product.k * kSize > kPanelBytes;
  int64_t block_k = std::max<int64_t>(kPanelBytes / (width * kSize), 32);
  if (pack_a) block_k = std::min(block_k, std::max<int64_t>(kBlockBytes / (product.m * kSize), 1));
  const Parts blocks = Parts::of_at_most(product.k, block_k);

  for (int64_t block = 0; block < blocks.count; ++block) {
    const int64_t p = blocks.begin(block);
    MicroCall<T> call;
    call.k = blocks.end(block) - p;
    call.accumulate = block > 0;
    call.c_row = product.c_row;
    if (pack_a) {
      for (int64_t strip = 0; strip < strips.count; ++strip) {
        const int64_t i = strips.begin(strip), rows = strips.end(strip) - i;
        T* dst = scratch.block + i * call.k;
        const T* src = product.a + i + p * product.a_k;
        for (int64_t q = 0; q < call.k; ++q) {
          for (int64_t r = 0; r < rows; ++r) dst[q * rows + r] = src[q * product.a_k + r];
        }
      }
    }
    for (int64_t panel = 0; panel < panels.count; ++panel) {
      const int64_t first = panels.begin(panel), vectors = panels.end(panel) - first;
      const int64_t j = first * kLane;
      const int64_t columns = std::min(vectors * kLane, product.n - j);
      call.last_columns = columns - (vectors - 1) * kLane;
      if (transposed) {
        transpose_block(product.b + j * product.b_column + p, product.b_column, columns, call.k,
                        scratch.panel, vectors * kLane);
      } else if (pack_b) {
        copy_block(product.b + p * product.b_k + j, product.b_k, call.k, columns, scratch.panel,
                   vectors * kLane);
      }
      call.b = pack_b ? scratch.panel : product.b + p * product.b_k + j;
      call.b_k = pack_b ? vectors * kLane : product.b_k;
      for (int64_t strip = 0; strip < strips.count; ++strip) {
        const int64_t i = strips.begin(strip), rows = strips.end(strip) - i;
        call.a =
            pack_a ? scratch.block + i * call.k : product.a + i * product.a_row + p * product.a_k;
        call.a_row = pack_a ? 1 : product.a_row;
        call.a_k = pack_a ? rows : product.a_k;
        call.c = product.c + i * product.c_row + j;
        Finish<T> finish = product.finish;
        if (finish.bias != nullptr) finish.bias += j;
        if (finish.mask != nullptr) finish.mask += i * finish.mask_row + j;
        call.finish = block + 1 == blocks.count ? &finish : nullptr;
        table[static_cast<size_t>(rows - 1)][static_cast<size_t>(vectors - 1)](call);
      }
    }
  }
}

}  // namespace slim::SLIM_ISA_NAMESPACE
