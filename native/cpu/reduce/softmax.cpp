// Kernels along the last axis: softmax and log_softmax.
#include "cpu/check.h"
#include "cpu/kernel_set.h"
#include "cpu/reduce/softmax_row.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

enum class Kind { softmax, log_softmax };

template <class T, Kind kind>
class SoftmaxLaunch final : public RowLaunch {
  using V = Vec<T>;

 public:
  explicit SoftmaxLaunch(const Binding& binding)
      : RowLaunch(binding.operands[0], binding.operands[0].dims.back(), kLanes<T>),
        src_(binding.operands[0]),
        dst_(binding.results[0]),
        width_(src_.dims.back()) {}

  int64_t local_bytes() const override { return row_scratch<T>(width_); }

  void run_lines(const Context& context, int64_t first, int64_t last,
                 std::byte* local) const noexcept override {
    with_row_vectors<T>(width_, [&](auto vectors) {
      const RowShape<T, vectors.value> shape(width_);
      for (int64_t i = first; i < last; ++i) {
        const T* src = src_.in<T>(context) + i * src_.row();
        T* dst = dst_.in<T>(context) + i * dst_.row();
        if constexpr (kind == Kind::softmax) {
          softmax(shape, src, dst, local);
        } else {
          log_softmax(shape, src, dst);
        }
      }
    });
  }

  Cost cost(int64_t rows) const override {
    const auto n = static_cast<double>(src_.count(rows));
    return {24 * n, 2 * n * sizeof(T)};
  }

 private:
  template <int kVectors>
  SLIM_INLINE static void softmax(const RowShape<T, kVectors>& shape, const T* src, T* dst,
                                  std::byte* local) {
    const V shift = shape.largest(src);
    RowVectors<T, kVectors> e(local);
    V sum{};
    for (int64_t j = 0; j < shape.vectors(); ++j) {
      e[j] = exp(shape.at(src, j) - shift);
      sum += e[j];
    }
    const V scale = T(1) / total_of(sum);
    for (int64_t j = 0; j < shape.vectors(); ++j) shape.put(dst, j, e[j] * scale);
  }

  template <int kVectors>
  SLIM_INLINE static void log_softmax(const RowShape<T, kVectors>& shape, const T* src, T* dst) {
    const V shift = finite_shift(shape.largest(src));
    V sum{};
    for (int64_t j = 0; j < shape.vectors(); ++j) sum += exp(shape.at(src, j) - shift);
    const V log_sum = log(total_of(sum));
    for (int64_t j = 0; j < shape.vectors(); ++j) {
      shape.put(dst, j, (shape.at(src, j) - shift) - log_sum);
    }
  }

  Buffer src_, dst_;
  int64_t width_;
};

template <Kind kind>
Prepared prepare_softmax(const Binding& binding) {
  require_last_axis(binding);
  if (binding.operands[0].dtype == DType::f32) {
    return std::make_unique<SoftmaxLaunch<float, kind>>(binding);
  }
  return std::make_unique<SoftmaxLaunch<double, kind>>(binding);
}

}  // namespace

SLIM_KERNEL(softmax, prepare_softmax<Kind::softmax>);
SLIM_KERNEL(log_softmax, prepare_softmax<Kind::log_softmax>);

}  // namespace slim::SLIM_ISA_NAMESPACE
