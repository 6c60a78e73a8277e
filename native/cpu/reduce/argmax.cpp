// Kernel of argmax: the first position of the largest element along an axis; NaN counts as
// larger than all, as in numpy.
#include "cpu/check.h"
#include "cpu/kernel_set.h"
#include "cpu/split.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

// [outer, n, inner]: the result is [outer, inner].
template <class T>
class ArgmaxLaunch final : public Launch {
 public:
  ArgmaxLaunch(const Binding& binding, size_t axis)
      : src_(binding.operands[0]),
        dst_(binding.results[0]),
        outer_(count_of(src_, 0, axis)),
        n_(count_of(src_, axis, axis + 1)),
        inner_(count_of(src_, axis + 1, src_.dims.size()).fixed),
        split_(Split::by_bytes(4 * sizeof(T) * n_.fixed * inner_)) {}

  int64_t tasks(int64_t rows) const override { return split_.tasks(outer_(rows)); }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    const int64_t last = split_.last(task, outer_(context.rows)), n = n_(context.rows);
    for (int64_t i = split_.first(task); i < last; ++i) {
      const T* src = src_.in<T>(context) + i * n * inner_;
      int64_t* dst = dst_.in<int64_t>(context) + i * inner_;
      for (int64_t j = 0; j < inner_; ++j) dst[j] = first_largest(src + j, n);
    }
  }

  Cost cost(int64_t rows) const override {
    const auto n = static_cast<double>(src_.count(rows));
    return {n, n * sizeof(T)};
  }

 private:
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

  Buffer src_, dst_;
  Count outer_, n_;
  int64_t inner_;
  Split split_;
};

std::unique_ptr<Launch> prepare_argmax(const Binding& binding) {
  require_arity(binding, 1);
  const Buffer& src = binding.operands[0];
  const Buffer& dst = binding.results[0];
  const size_t axis = axis_of(binding, static_cast<int64_t>(src.dims.size()));
  if (dst.dtype != DType::i64 || dst.dims.size() + 1 != src.dims.size() || src.dims[axis] < 1 ||
      !same_dims(src, dst, 0, axis) ||
      !std::equal(src.dims.begin() + static_cast<int64_t>(axis) + 1, src.dims.end(),
                  dst.dims.begin() + static_cast<int64_t>(axis))) {
    binding.refuse(operand_text(binding, 0) + " along axis " + std::to_string(axis) +
                   " does not give " + result_text(binding) + " (i64)");
  }
  switch (src.dtype) {
    case DType::f32:
      return std::make_unique<ArgmaxLaunch<float>>(binding, axis);
    case DType::f64:
      return std::make_unique<ArgmaxLaunch<double>>(binding, axis);
    case DType::i32:
      return std::make_unique<ArgmaxLaunch<int32_t>>(binding, axis);
    case DType::i64:
      return std::make_unique<ArgmaxLaunch<int64_t>>(binding, axis);
    default:
      binding.refuse("needs f32, f64, i32 or i64, got " + operand_text(binding, 0));
  }
}

}  // namespace

SLIM_KERNEL(argmax, prepare_argmax);

}  // namespace slim::SLIM_ISA_NAMESPACE
