// One task of matmul: C tile = A block · B block, over blocks of k, panels and strips.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/gemm/pack.h"
#include "cpu/gemm/plan.h"
#include "kernels/kernel.h"

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
  constexpr int64_t kPadding = kAlignment / kSize;
  const Parts strips = Parts::of_at_most(product.m, tile.rows);
  const Parts panels = Parts::of_at_most((product.n + kLane - 1) / kLane, tile.vectors);
  const int64_t width = panels.largest() * kLane;
  const bool transposed = product.b_column != 1;
  // Rows of B far apart fall on few sets of L1; a panel read often is worth a copy.
  const bool pack_b = transposed || (product.b_k * kSize >= 1024 && strips.count >= 8);
  // The same for A, copied as it lies but without such a stride.
  const bool a_by_k = product.a_k == 1;
  const int64_t a_stride = a_by_k ? product.a_row : product.a_k;
  const bool pack_a = a_stride * kSize >= 1024 && panels.count >= 4 && strips.count >= 4;
  int64_t block_k = std::max<int64_t>(kPanelBytes / (width * kSize), 32);
  if (pack_a) {
    const int64_t room = kBlockBytes / kSize;
    const int64_t most =
        a_by_k ? room / product.m - 2 * kPadding : room / (product.m + 2 * kPadding);
    block_k = std::clamp<int64_t>(block_k, 1, most);
  }
  const Parts blocks = Parts::of_at_most(product.k, block_k);

  for (int64_t block = 0; block < blocks.count; ++block) {
    const int64_t p = blocks.begin(block);
    MicroCall<T> call;
    call.k = blocks.end(block) - p;
    call.accumulate = block > 0;
    call.c_row = product.c_row;
    const T* a = product.a + p * product.a_k;
    call.a_row = product.a_row;
    call.a_k = product.a_k;
    if (pack_a) {
      const int64_t length = a_by_k ? call.k : product.m;
      const int64_t stride = (length + kPadding - 1) / kPadding * kPadding + kPadding;
      copy_block(a, a_stride, a_by_k ? product.m : call.k, length, scratch.block, stride);
      a = scratch.block;
      (a_by_k ? call.a_row : call.a_k) = stride;
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
        call.a = a + i * call.a_row;
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
