// Kernels of argmax and max_with_argmax: the first position of the largest element along an
// axis, and the element; NaN counts as larger than all, as in numpy.
#include "cpu/check.h"
#include "cpu/kernel_set.h"
#include "cpu/lines.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

// [outer, n, inner]: the results are [outer, inner], the positions last.
template <class T>
class ArgmaxLaunch final : public LineLaunch {
 public:
  ArgmaxLaunch(const Binding& binding, size_t axis)
      : LineLaunch(count_of(binding.operands[0], 0, axis),
                   Split::by_bytes(
                       4 * int64_t{sizeof(T)} *
                       count_of(binding.operands[0], axis, binding.operands[0].dims.size()).fixed),
                   lines_in_row(binding.operands[0], axis)),
        src_(binding.operands[0]),
        values_(binding.results.front()),
        dst_(binding.results.back()),
        with_values_(binding.results.size() > 1),
        n_(count_of(src_, axis, axis + 1)),
        inner_(count_of(src_, axis + 1, src_.dims.size()).fixed) {}

  Cost cost(int64_t rows) const override {
    const auto n = static_cast<double>(src_.count(rows));
    return {n, n * sizeof(T)};
  }

 private:
  void run_lines(const Context& context, int64_t first, int64_t last,
                 std::byte*) const noexcept override {
    const int64_t n = n_(context.rows);
    for (int64_t i = first; i < last; ++i) {
      const T* src = src_.in<T>(context) + i * n * inner_;
      int64_t* dst = dst_.in<int64_t>(context) + i * inner_;
      for (int64_t j = 0; j < inner_; ++j) dst[j] = first_largest(src + j, n);
      if (!with_values_) continue;
      T* values = values_.in<T>(context) + i * inner_;
      for (int64_t j = 0; j < inner_; ++j) values[j] = src[dst[j] * inner_ + j];
    }
  }

  int64_t first_largest(const T* src, int64_t n) const {
    int64_t at = 0;
    T most = src[0];
    for (int64_t i = 1; i < n && most == most; ++i) {
      const T x = src[i * inner_];
      if (x > most || x != x) {
        most = x;
        at = i;
      }
    }
    return at;
  }

  Buffer src_, values_, dst_;
  bool with_values_;
  Count n_;
  int64_t inner_;
};

Prepared prepare_argmax(const Binding& binding) {
  const size_t axis = axis_of(binding);
  require_elements(binding, binding.operands[0], axis);
  return with_number(binding.operands[0].dtype, [&](auto zero) -> std::unique_ptr<Launch> {
    return std::make_unique<ArgmaxLaunch<decltype(zero)>>(binding, axis);
  });
}

}  // namespace

SLIM_KERNEL(argmax, prepare_argmax);
SLIM_KERNEL(max_with_argmax, prepare_argmax);

}  // namespace slim::SLIM_ISA_NAMESPACE
