// Kernel of top_k: the k largest elements of each row, falling, and their positions. NaN is
// larger than any number, of equals the first comes first.
#include <algorithm>
#include <numeric>

#include "cpu/check.h"
#include "cpu/kernel_set.h"
#include "cpu/lines.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

template <class T>
class TopKLaunch final : public LineLaunch {
 public:
  explicit TopKLaunch(const Binding& binding)
      : LineLaunch(count_of(binding.operands[0], 0, binding.operands[0].dims.size() - 1),
                   Split::by_bytes(32 * binding.operands[0].dims.back()),
                   lines_in_row(binding.operands[0], binding.operands[0].dims.size() - 1)),
        src_(binding.operands[0]),
        values_(binding.results[0]),
        positions_(binding.results[1]),
        n_(src_.dims.back()),
        k_(values_.dims.back()) {}

  int64_t local_bytes() const override { return n_ * static_cast<int64_t>(sizeof(int64_t)); }

  Cost cost(int64_t rows) const override {
    const auto n = static_cast<double>(src_.count(rows));
    return {8 * n, 16 * n};
  }

 private:
  void run_lines(const Context& context, int64_t first, int64_t last,
                 std::byte* local) const noexcept override {
    int64_t* order = reinterpret_cast<int64_t*>(local);
    for (int64_t row = first; row < last; ++row) {
      const T* src = src_.in<T>(context) + row * n_;
      std::iota(order, order + n_, 0);
      std::partial_sort(order, order + k_, order + n_,
                        [src](int64_t i, int64_t j) { return before(src, i, j); });
      std::copy_n(order, k_, positions_.in<int64_t>(context) + row * k_);
      T* values = values_.in<T>(context) + row * k_;
      for (int64_t i = 0; i < k_; ++i) values[i] = src[order[i]];
    }
  }

  static bool before(const T* src, int64_t i, int64_t j) {
    const T x = src[i], y = src[j];
    if (x > y) return true;
    if (x < y) return false;
    const bool nan_x = x != x, nan_y = y != y;
    return nan_x != nan_y ? nan_x : i < j;
  }

  Buffer src_, values_, positions_;
  int64_t n_, k_;
};

Prepared prepare_top_k(const Binding& binding) {
  require_last_axis(binding);
  if (binding.operands[0].dims.back() < binding.results[0].dims.back()) {
    binding.refuse("there are fewer elements than " + result_text(binding) + " takes, in " +
                   operand_text(binding, 0) + " for these rows");
  }
  return with_number(binding.operands[0].dtype, [&](auto zero) -> std::unique_ptr<Launch> {
    return std::make_unique<TopKLaunch<decltype(zero)>>(binding);
  });
}

}  // namespace

SLIM_KERNEL(top_k, prepare_top_k);

}  // namespace slim::SLIM_ISA_NAMESPACE
