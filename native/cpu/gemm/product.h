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

// Scratch of one product: B's packed panels (of a transposed B one at a time), A's packed block.
template <class T>
struct ProductScratch {
  static constexpr int64_t kColumns = kColumnsBytes + kMostVectors * kVectorBytes;
  static constexpr int64_t kBytes = kColumns + kBlockBytes;

  T* columns;
  T* block;

  explicit ProductScratch(std::byte* local)
      : columns(reinterpret_cast<T*>(local)), block(reinterpret_cast<T*>(local + kColumns)) {}
};

// Rows of B into panels, row by row: what lies together is read together.
template <class T>
void pack_panels(const T* b, int64_t b_k, int64_t k, const Panels<T>& panels, T* dst) {
  constexpr int64_t kLane = kLanes<T>;
  for (int64_t p = 0; p < k; ++p, b += b_k) {
    const T* src = b;
    for (int64_t panel = 0; panel < panels.count(); ++panel) {
      const int64_t first = panels.begin(panel), vectors = panels.vectors(panel);
      T* to = dst + (first * k + p * vectors) * kLane;
      for (int64_t j = 0; j < vectors; ++j, src += kLane) store(to + j * kLane, load(src));
    }
  }
}

// Brings rows of memory near, a few lines at a time, while other work goes on.
class Prefetcher {
 public:
  Prefetcher() = default;
  // `bytes` of each of `rows` rows, in `calls` calls of advance().
  Prefetcher(const void* first, int64_t stride, int64_t bytes, int64_t rows, int64_t calls)
      : row_(static_cast<const std::byte*>(first)), stride_(stride), bytes_(bytes), rows_(rows) {
    const int64_t lines_a_row = (bytes + kAlignment - 1) / kAlignment;
    lines_ = (rows * lines_a_row + calls - 1) / calls;
  }

  void advance() {
    for (int64_t line = 0; line < lines_ && rows_ > 0; ++line) {
      __builtin_prefetch(row_ + at_, 0, 2);  // into L2: L1 is the tile's
      at_ += kAlignment;
      if (at_ < bytes_) continue;
      at_ = 0;
      row_ += stride_;
      --rows_;
    }
  }

 private:
  const std::byte* row_ = nullptr;
  int64_t stride_ = 0, bytes_ = 0, rows_ = 0, lines_ = 0, at_ = 0;
};

template <class T>
void run_product(const Product<T>& product, const MicroTile& tile, ProductScratch<T> scratch) {
  const MicroTables<T>& tables = micro_tables<T>();
  constexpr int64_t kLane = kLanes<T>;
  constexpr int64_t kSize = sizeof(T);
  constexpr int64_t kPadding = kAlignment / kSize;
  const Parts strips = Parts::of_at_most(product.m, tile.rows);
  const Panels<T> panels(product.n, tile.vectors);
  const int64_t width = panels.largest() * kLane;
  const bool transposed = product.b_column != 1;
  // Rows of B far apart fall on few sets of L1; a panel read often is worth a copy.
  const bool fits = panels.length() * kVectorBytes <= kColumnsBytes / 32;
  const bool pack_b = transposed || (product.b_k * kSize >= 1024 && strips.count >= 8 && fits);
  // The same for A, copied as it lies but without such a stride.
  const bool a_by_k = product.a_k == 1;
  const int64_t a_stride = a_by_k ? product.a_row : product.a_k;
  const bool pack_a = a_stride * kSize >= 1024 && panels.count() >= 4 && strips.count >= 4;
  int64_t block_k =
      std::max<int64_t>((pack_b ? kPackedPanelBytes : kPanelBytes) / (width * kSize), 32);
  if (pack_b && !transposed) {
    block_k = std::clamp<int64_t>(kColumnsBytes / (panels.length() * kVectorBytes), 1, block_k);
  }
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
    if (pack_b && !transposed) {
      pack_panels(product.b + p * product.b_k, product.b_k, call.k, panels, scratch.columns);
    }
    Prefetcher next_a, next_b;
    const bool more = (pack_a || pack_b) && block + 1 < blocks.count;
    if (more) {
      const int64_t q = blocks.end(block), k = blocks.end(block + 1) - q;
      const int64_t calls = panels.count() * strips.count;
      if (pack_a) {
        next_a = {product.a + q * product.a_k, a_stride * kSize, (a_by_k ? k : product.m) * kSize,
                  a_by_k ? product.m : k, calls};
      }
      if (pack_b) {
        const int64_t stride = transposed ? product.b_column : product.b_k;
        next_b = {product.b + q * product.b_k, stride * kSize, (transposed ? k : product.n) * kSize,
                  transposed ? product.n : k, calls};
      }
    }
    for (int64_t panel = 0; panel < panels.count(); ++panel) {
      const int64_t first = panels.begin(panel), vectors = panels.vectors(panel);
      const int64_t j = first * kLane;
      const int64_t columns = std::min(vectors * kLane, product.n - j);
      call.last_columns = columns - (vectors - 1) * kLane;
      if (pack_b) {
        T* packed = scratch.columns + (transposed ? 0 : j * call.k);
        if (transposed) {
          transpose_block(product.b + j * product.b_column + p, product.b_column, columns, call.k,
                          packed, vectors * kLane);
        }
        call.b = packed;
        call.b_k = vectors * kLane;
      } else {
        call.b = product.b + p * product.b_k + j;
        call.b_k = product.b_k;
      }
      const auto kernel = [&](int64_t rows) {
        const auto& row = tables.full[static_cast<size_t>(rows - 1)];
        return panels.half(panel) ? tables.half[static_cast<size_t>(rows - 1)]
                                  : row[static_cast<size_t>(vectors - 1)];
      };
      for (int64_t strip = 0; strip < strips.count; ++strip) {
        const int64_t i = strips.begin(strip), rows = strips.end(strip) - i;
        if (more) {
          next_a.advance();
          next_b.advance();
        }
        call.a = a + i * call.a_row;
        call.c = product.c + i * product.c_row + j;
        Finish<T> finish = product.finish;
        if (finish.bias != nullptr) finish.bias += j;
        if (finish.mask != nullptr) finish.mask += i * finish.mask_row + j;
        call.finish = block + 1 == blocks.count ? &finish : nullptr;
        kernel(rows)(call);
      }
    }
  }
}

}  // namespace slim::SLIM_ISA_NAMESPACE
