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
  bool c_far;        // all of C is more than L2 holds
  Finish<T> finish;  // of C's first element
};

// Scratch of one product: a packed panel of B.
template <class T>
struct ProductScratch {
  static constexpr int64_t kBytes = kPanelBytes;

  T* panel;

  explicit ProductScratch(std::byte* local) : panel(reinterpret_cast<T*>(local)) {}
};

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

// The lines of rows × vectors of C, which a call touches in the end.
template <class T>
void prefetch_tile(const MicroCall<T>& call, int64_t rows, int64_t vectors) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < vectors; ++j) {
      __builtin_prefetch(call.c + i * call.c_row + j * kLanes<T>, 1);
    }
  }
}

// Rows of B far apart fall on few sets of L1; a panel read often is worth a copy. A is not: a
// strip has few rows, and out of L2 they come in time.
template <class T>
bool has_far_rows(int64_t b_stride, const Panels<T>& panels, int64_t k) {
  const int64_t panel_bytes = panels.largest() * kVectorBytes * std::min(kFoldK, k);
  return b_stride * int64_t{sizeof(T)} >= 1024 || (panels.count() > 1 && panel_bytes > kNearBytes);
}

template <class T>
void run_product(const Product<T>& product, const MicroTile& tile, ProductScratch<T> scratch) {
  const MicroTables<T>& tables = micro_tables<T>();
  constexpr int64_t kLane = kLanes<T>;
  constexpr int64_t kSize = sizeof(T);
  const Parts strips = Parts::of_at_most(product.m, tile.rows);
  const Panels<T> panels(product.n, tile.vectors);
  const bool transposed = product.b_column != 1;
  const int64_t b_stride = transposed ? product.b_column : product.b_k;
  const bool pack_b =
      transposed || (strips.count >= 8 && has_far_rows(b_stride, panels, product.k));
  const int64_t blocks = std::max<int64_t>((product.k + kFoldK - 1) / kFoldK, 1);
  const auto k_of = [&](int64_t block) { return std::min(kFoldK, product.k - block * kFoldK); };
  const auto columns_of = [&](int64_t panel) {
    return std::min(panels.vectors(panel) * kLane, product.n - panels.begin(panel) * kLane);
  };

  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t p = block * kFoldK;
    const bool last_block = block + 1 == blocks;
    MicroCall<T> call;
    call.k = k_of(block);
    call.accumulate = block > 0;
    call.finish = last_block ? &product.finish : nullptr;
    call.c_row = product.c_row;
    const T* a = product.a + p * product.a_k;
    call.a_row = product.a_row;
    call.a_k = product.a_k;
    Prefetcher next;
    for (int64_t panel = 0; panel < panels.count(); ++panel) {
      const int64_t vectors = panels.vectors(panel), columns = columns_of(panel);
      const int64_t j = panels.begin(panel) * kLane;
      call.last_columns = columns - (vectors - 1) * kLane;
      call.column = j;
      call.b = product.b + p * product.b_k + j * product.b_column;
      call.b_k = product.b_k;
      if (pack_b) {
        if (transposed) {
          transpose_block(call.b, b_stride, columns, call.k, scratch.panel, vectors * kLane);
        } else {
          copy_block(call.b, b_stride, call.k, vectors * kLane, scratch.panel, vectors * kLane);
        }
        call.b = scratch.panel;
        call.b_k = vectors * kLane;
        // The next panel, of this block of k or the next.
        const bool wrap = panel + 1 == panels.count();
        if (!(wrap && last_block)) {
          const int64_t to = wrap ? 0 : panel + 1, next_block = block + wrap;
          const int64_t q = next_block * kFoldK, k = k_of(next_block);
          const T* src = product.b + q * product.b_k + panels.begin(to) * kLane * product.b_column;
          const int64_t length = transposed ? k : columns_of(to);
          const int64_t rows = transposed ? columns_of(to) : k;
          next = {src, b_stride * kSize, length * kSize, rows, strips.count};
        }
      }
      const auto kernel = [&](int64_t rows) {
        const auto& row = tables.full[static_cast<size_t>(rows - 1)];
        return panels.half(panel) ? tables.half[static_cast<size_t>(rows - 1)]
                                  : row[static_cast<size_t>(vectors - 1)];
      };
      for (int64_t strip = 0; strip < strips.count; ++strip) {
        const int64_t i = strips.begin(strip), rows = strips.end(strip) - i;
        if (pack_b) next.advance();
        call.a = a + i * call.a_row;
        call.c = product.c + i * product.c_row + j;
        if (product.c_far) prefetch_tile(call, rows, vectors);
        call.row = i;
        kernel(rows)(call);
      }
    }
  }
}

// The panels [first, last) of C's columns, of which `product` has the first; B lies packed, panel
// by panel, k by k.
template <class T>
void run_packed_product(const Product<T>& product, const Panels<T>& panels, int64_t first,
                        int64_t last, const T* packed, int most_rows_of_tile) {
  const MicroTables<T>& tables = micro_tables<T>();
  constexpr int64_t kLane = kLanes<T>;
  const Parts strips = Parts::of_at_most(product.m, most_rows_of_tile);
  const int64_t origin = panels.begin(first) * kLane;
  MicroCall<T> call;
  call.c_row = product.c_row;
  call.a_row = product.a_row;
  call.a_k = product.a_k;
  for (int64_t p = 0; p < product.k; p += kFoldK) {
    call.k = std::min(kFoldK, product.k - p);
    call.accumulate = p > 0;
    call.finish = p + kFoldK >= product.k ? &product.finish : nullptr;
    for (int64_t panel = first; panel < last; ++panel) {
      const int64_t vectors = panels.vectors(panel), j = panels.begin(panel) * kLane - origin;
      call.last_columns = std::min(vectors * kLane, product.n - j) - (vectors - 1) * kLane;
      call.column = j;
      call.b_k = vectors * kLane;
      call.b = packed + (origin + j) * product.k + p * call.b_k;
      for (int64_t strip = 0; strip < strips.count; ++strip) {
        const int64_t i = strips.begin(strip), rows = strips.end(strip) - i;
        call.a = product.a + p * product.a_k + i * call.a_row;
        call.c = product.c + i * product.c_row + j;
        if (product.c_far) prefetch_tile(call, rows, vectors);
        call.row = i;
        const auto of_rows = static_cast<size_t>(rows - 1);
        const MicroKernel<T> kernel = panels.half(panel)
                                          ? tables.half[of_rows]
                                          : tables.full[of_rows][static_cast<size_t>(vectors - 1)];
        kernel(call);
      }
    }
  }
}

}  // namespace slim::SLIM_ISA_NAMESPACE
