// The transpose of sparse rows: a stable radix sort by column, in room that the call owns.
#include <bit>
#include <cstring>
#include <utility>

#include "cpu/check.h"
#include "cpu/kernel_set.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

constexpr int kDigitBits = 11;
constexpr int64_t kDigits = 1 << kDigitBits;

// Nothing here is as long as the matrix is wide: only columns with stored elements are listed.
template <class T>
class CsrTranspose final : public Launch {
 public:
  explicit CsrTranspose(const Binding& binding)
      : src_(binding.operands[0]),
        dst_(binding.results[0]),
        passes_((std::bit_width(static_cast<uint64_t>(src_.dims[1])) + kDigitBits - 1) /
                kDigitBits) {}

  int64_t tasks(int64_t) const override { return 1; }

  void run(const Context& context, int64_t, std::byte* local) const noexcept override {
    const SparseBatch& src = src_.sparse_in(context);
    SparseBatch& dst = dst_.sparse_in(context);
    const int64_t listed = src.listed(context.rows), stored = src.offsets[listed];
    auto* counts = reinterpret_cast<uint32_t*>(local);
    std::memset(counts, 0, static_cast<size_t>(local_bytes()));
    uint64_t *from = dst.pairs[0], *to = dst.pairs[1];
    for (int64_t i = 0; i < listed; ++i) {
      const int32_t row = src.ids != nullptr ? src.ids[i] : static_cast<int32_t>(i);
      for (int64_t p = src.offsets[i]; p < src.offsets[i + 1]; ++p) {
        const auto column = static_cast<uint32_t>(src.columns[p]);
        dst.row_of[p] = row;
        from[p] = uint64_t{column} << 32 | static_cast<uint32_t>(p);
        for (int pass = 0; pass < passes_; ++pass) ++counts[pass * kDigits + digit(column, pass)];
      }
    }
    for (int pass = 0; pass < passes_; ++pass) {
      uint32_t* next = counts + pass * kDigits;
      uint32_t at = 0;
      for (int64_t d = 0; d < kDigits; ++d) at += std::exchange(next[d], at);
      for (int64_t q = 0; q < stored; ++q) {
        to[next[digit(static_cast<uint32_t>(from[q] >> 32), pass)]++] = from[q];
      }
      std::swap(from, to);
    }
    list(src, dst, from, stored);
  }

  // Plans do not know the data.
  Cost cost(int64_t rows) const override {
    return {0, static_cast<double>(rows) * 8.0 * (16.0 * passes_ + 3.0 * sizeof(T))};
  }

  int64_t local_bytes() const override {
    return passes_ * kDigits * static_cast<int64_t>(sizeof(uint32_t));
  }

 private:
  static uint32_t digit(uint32_t column, int pass) {
    return column >> (kDigitBits * pass) & (kDigits - 1);
  }

  static void list(const SparseBatch& src, SparseBatch& dst, const uint64_t* sorted,
                   int64_t stored) {
    const T* values = reinterpret_cast<const T*>(src.values);
    T* turned = reinterpret_cast<T*>(dst.values);
    int64_t listed = 0;
    int32_t last = -1;
    for (int64_t q = 0; q < stored; ++q) {
      const auto column = static_cast<int32_t>(sorted[q] >> 32);
      const auto p = static_cast<uint32_t>(sorted[q]);
      if (column != last) {
        dst.ids[listed] = last = column;
        dst.offsets[listed++] = q;
      }
      dst.columns[q] = dst.row_of[p];
      turned[q] = values[p];
    }
    dst.offsets[listed] = stored;
    *dst.count = listed;
  }

  Buffer src_, dst_;
  int passes_;
};

Prepared prepare_csr_transpose(const Binding& binding) {
  if (binding.operands[0].dtype == DType::f32) {
    return std::make_unique<CsrTranspose<float>>(binding);
  }
  return std::make_unique<CsrTranspose<double>>(binding);
}

}  // namespace

SLIM_KERNEL(csr_transpose, prepare_csr_transpose);

}  // namespace slim::SLIM_ISA_NAMESPACE
