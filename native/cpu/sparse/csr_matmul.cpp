// The product of sparse rows and a dense matrix, as a dense matrix or as rows of one; its
// region, a tape, finishes the dense one some rows at a time.
#include <algorithm>
#include <optional>

#include "cpu/check.h"
#include "cpu/gemm/plan.h"
#include "cpu/kernel_set.h"
#include "cpu/lanes.h"
#include "cpu/split.h"
#include "cpu/tape/tape.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

constexpr int64_t kTaskStored = 8;         // stored elements of a row, as far as tasks go
constexpr int64_t kCostStored = 32;        // and as far as costs go: plans do not know the data
constexpr int64_t kRowsTasks = 16;         // of a result that has as many rows as the data says
constexpr int64_t kBlockBytes = 16 << 10;  // of rows that the tape finishes at once
constexpr int64_t kAhead = 8;              // stored elements whose row of b is fetched early

// Where the block of k that holds this column ends.
int64_t fold_end(int32_t column) { return (column / kFoldK + 1) * kFoldK; }

// One row of the result, a panel of it: each element a chain of fma over the stored elements
// of each block of k, the blocks added in order, which has the bits of the dense product,
// where the others add nothing.
template <class T, int vectors, bool far>
SLIM_INLINE void panel_of_row(const T* values, const int32_t* columns, int64_t stored, int64_t left,
                              const T* b, int64_t b_row, T* dst, int64_t last) {
  constexpr int64_t kStep = kLanes<T>;
  Vec<T> sum[vectors] = {}, chain[vectors] = {};
  int64_t end = stored > 0 ? fold_end(columns[0]) : 0;
  for (int64_t p = 0; p < stored; ++p) {
    if constexpr (far) {
      // Also of the next rows of a: `left` are the stored elements from this row on.
      const T* soon = b + columns[std::min(p + kAhead, left - 1)] * b_row;
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j) __builtin_prefetch(soon + j * kStep);
    }
    if (columns[p] >= end) {
      end = fold_end(columns[p]);
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j) sum[j] = sum[j] + chain[j], chain[j] = Vec<T>{};
    }
    const Vec<T> factor = broadcast<Vec<T>>(values[p]);
    const T* row = b + columns[p] * b_row;
#pragma GCC unroll 8
    for (int j = 0; j < vectors; ++j) chain[j] = fma(factor, load(row + j * kStep), chain[j]);
  }
#pragma GCC unroll 8
  for (int j = 0; j < vectors; ++j) sum[j] = sum[j] + chain[j];
#pragma GCC unroll 8
  for (int j = 0; j + 1 < vectors; ++j) store(dst + j * kStep, sum[j]);
  store_first(dst + (vectors - 1) * kStep, sum[vectors - 1], last);
}

template <class T, bool far>
void one_row(const T* values, const int32_t* columns, int64_t stored, int64_t left, const T* b,
             int64_t b_row, int64_t n, T* dst) {
  constexpr int64_t kStep = kLanes<T>;
  for (int64_t j = 0; j < n;) {
    const int64_t vectors_left = vectors_of(n - j, kStep);
    const int64_t vectors = vectors_left >= 8   ? 8
                            : vectors_left >= 4 ? 4
                            : vectors_left >= 2 ? 2
                                                : 1;
    const int64_t last = std::min(kStep, n - j - (vectors - 1) * kStep);
    const auto run = [&]<int count>() {
      panel_of_row<T, count, far>(values, columns, stored, left, b + j, b_row, dst + j, last);
    };
    switch (vectors) {
      case 8:
        run.template operator()<8>();
        break;
      case 4:
        run.template operator()<4>();
        break;
      case 2:
        run.template operator()<2>();
        break;
      default:
        run.template operator()<1>();
    }
    j += vectors * kStep;
  }
}

// The same for a vector b.
template <class T>
SLIM_INLINE T one_sum(const T* values, const int32_t* columns, int64_t stored, const T* b,
                      int64_t b_row) {
  T sum{0}, chain{0};
  for (int64_t p = 0, end = 0; p < stored; ++p) {
    if (columns[p] >= end) {
      sum += chain;
      chain = 0;
      end = fold_end(columns[p]);
    }
    chain = fma(values[p], b[columns[p] * b_row], chain);
  }
  return sum + chain;
}

template <class T>
class CsrMatmul final : public Launch {
 public:
  explicit CsrMatmul(const Binding& binding)
      : a_(binding.operands[0]),
        b_(binding.operands[1]),
        c_(binding.results[0]),
        n_(c_.dims[1]),
        far_(b_.count(1) * static_cast<int64_t>(sizeof(T)) > kFarBytes),
        split_(Split::by_bytes(kTaskStored * n_ * static_cast<int64_t>(sizeof(T)))) {
    if (binding.node.regions.empty()) return;
    block_rows_ = std::clamp<int64_t>(
        kBlockBytes / std::max<int64_t>(n_ * static_cast<int64_t>(sizeof(T)), 1), 1, split_.grain);
    tape_.emplace(binding, binding.node.regions[0], epilogue_operands(binding), binding.results,
                  SpaceSplit::last_axis);
  }

  int64_t tasks(int64_t rows) const override {
    return c_.storage == Storage::rows ? kRowsTasks : split_.tasks(c_.leading(rows));
  }

  int64_t local_bytes() const override { return tape_ ? tile_bytes() + tape_->local_bytes() : 0; }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    if (n_ == 0) return;
    const SparseBatch& a = a_.sparse_in(context);
    const int64_t listed = a.listed(context.rows);
    if (c_.storage == Storage::rows) {
      T* rows = reinterpret_cast<T*>(c_.sparse_in(context).values);
      const int64_t begin = listed * task / kRowsTasks;
      compute(context, a, begin, listed * (task + 1) / kRowsTasks, rows + begin * n_, n_);
      return;
    }
    const int64_t first = split_.first(task), last = split_.last(task, c_.leading(context.rows));
    if (!tape_) {
      fill(context, a, first, last, c_.in<T>(context) + first * c_.row(), c_.row());
      return;
    }
    T* tile = reinterpret_cast<T*>(local);
    for (int64_t row = first; row < last; row += block_rows_) {
      const int64_t end = std::min(row + block_rows_, last);
      fill(context, a, row, end, tile, n_);
      const TapeRunner::Override acc{local, n_};
      tape_->run(context, {row, end, 0, n_}, local + tile_bytes(), &acc);
    }
  }

  Cost cost(int64_t rows) const override {
    const double terms = static_cast<double>(rows * kCostStored) * static_cast<double>(n_);
    const double result = c_.storage == Storage::rows ? terms : static_cast<double>(c_.count(rows));
    return {2 * terms, sizeof(T) * (terms + result)};
  }

 private:
  int64_t tile_bytes() const {
    const int64_t bytes = block_rows_ * n_ * static_cast<int64_t>(sizeof(T)) + kVectorBytes;
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }

  // Rows first … last-1 of the product, to rows dst_row apart.
  void fill(const Context& context, const SparseBatch& a, int64_t first, int64_t last, T* dst,
            int64_t dst_row) const {
    if (a.ids == nullptr) {
      compute(context, a, first, last, dst, dst_row);
      return;
    }
    const int64_t listed = a.listed(context.rows);
    int64_t row = first;
    for (int64_t i = std::lower_bound(a.ids, a.ids + listed, first) - a.ids;
         i < listed && a.ids[i] < last; ++i) {
      clear(dst, row - first, a.ids[i] - first, dst_row);
      row = a.ids[i] + 1;
      compute(context, a, i, i + 1, dst + (a.ids[i] - first) * dst_row, dst_row);
    }
    clear(dst, row - first, last - first, dst_row);
  }

  // The listed rows begin … end-1 of a, to as many rows of c.
  void compute(const Context& context, const SparseBatch& a, int64_t begin, int64_t end, T* dst,
               int64_t dst_row) const {
    const T* b = b_.in<T>(context);
    const int64_t b_row = b_.row();
    const T* values = reinterpret_cast<const T*>(a.values);
    const int64_t all = a.offsets[end];
    for (int64_t i = begin; i < end; ++i, dst += dst_row) {
      const int64_t at = a.offsets[i], stored = a.offsets[i + 1] - at;
      if (n_ == 1) {
        *dst = one_sum(values + at, a.columns + at, stored, b, b_row);
      } else if (far_) {
        one_row<T, true>(values + at, a.columns + at, stored, all - at, b, b_row, n_, dst);
      } else {
        one_row<T, false>(values + at, a.columns + at, stored, all - at, b, b_row, n_, dst);
      }
    }
  }

  void clear(T* c, int64_t first, int64_t last, int64_t row) const {
    for (int64_t i = first; i < last; ++i) std::fill_n(c + i * row, n_, T{0});
  }

  Buffer a_, b_, c_;
  int64_t n_;
  bool far_;
  Split split_;
  int64_t block_rows_ = 0;
  std::optional<TapeRunner> tape_;
};

Prepared prepare_csr_matmul(const Binding& binding) {
  if (binding.operands[0].dtype == DType::f32) return std::make_unique<CsrMatmul<float>>(binding);
  return std::make_unique<CsrMatmul<double>>(binding);
}

}  // namespace

SLIM_KERNEL(csr_matmul, prepare_csr_matmul);

}  // namespace slim::SLIM_ISA_NAMESPACE
