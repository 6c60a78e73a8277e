// Losses of logits along the last axis: sparse_softmax_cross_entropy, its gradient, and
// softmax_cross_entropy with labels as probabilities.
#include <algorithm>

#include "cpu/check.h"
#include "cpu/kernel_set.h"
#include "cpu/reduce/softmax_row.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

int64_t clamp_label(int32_t label, int64_t classes, bool* outside) {
  *outside |= static_cast<uint64_t>(int64_t{label}) >= static_cast<uint64_t>(classes);
  return std::clamp<int64_t>(label, 0, classes - 1);
}

// Whether a lane of vector j of a row is the label's.
template <class V>
SLIM_INLINE Mask<V> lanes_equal(int64_t label, int64_t j) {
  using Number = Lane<Mask<V>>;
  return lane_numbers<Mask<V>>() == static_cast<Number>(label - j * kLanes<Lane<V>>);
}

template <class T>
class LastAxisLaunch : public RowLaunch {
 public:
  explicit LastAxisLaunch(const Binding& binding)
      : RowLaunch(binding.operands[0], binding.operands[0].dims.back(), kLanes<T>),
        logits_(binding.operands[0]),
        labels_(binding.operands[1]),
        dst_(binding.results[0]),
        width_(logits_.dims.back()) {}

  Cost cost(int64_t rows) const override {
    const auto n = static_cast<double>(logits_.count(rows));
    return {24 * n, 2 * n * sizeof(T)};
  }

 protected:
  Buffer logits_, labels_, dst_;
  int64_t width_;
};

// With s the shift, r the sum of exp(z_j - s) over all classes but the label:
//   loss = log1p(r + (exp(z_label - s) - 1)) + (s - z_label)
// which is log1p(r), exact for the smallest losses, where the label has the largest logit.
template <class T>
class SparseLossLaunch final : public LastAxisLaunch<T> {
  using V = Vec<T>;

 public:
  using LastAxisLaunch<T>::LastAxisLaunch;

  void run_lines(const Context& context, int64_t first, int64_t last,
                 std::byte*) const noexcept override {
    with_row_vectors<T>(this->width_, [&](auto vectors) {
      const RowShape<T, vectors.value> shape(this->width_);
      bool outside = false;
      for (int64_t i = first; i < last; i += kLanes<T>) {
        block(shape, context, i, std::min<int64_t>(last - i, kLanes<T>), &outside);
      }
      if (outside) context.raise(kBadLabel);
    });
  }

 private:
  // n rows at most kLanes: what is left to do once a row is done for all in one vector.
  template <int kVectors>
  SLIM_INLINE void block(const RowShape<T, kVectors>& shape, const Context& context, int64_t first,
                         int64_t n, bool* outside) const {
    const int64_t row = this->logits_.row();
    const T* src = this->logits_.template in<T>(context) + first * row;
    const int32_t* labels = this->labels_.template in<int32_t>(context) + first;
    alignas(kVectorBytes) T rest[kLanes<T>] = {}, shift[kLanes<T>] = {}, logit[kLanes<T>] = {};
    for (int64_t i = 0; i < n; ++i, src += row) {
      const int64_t label = clamp_label(labels[i], this->width_, outside);
      const V largest = finite_shift(shape.largest(src));
      V sum{};
      for (int64_t j = 0; j < shape.vectors(); ++j) {
        sum += select(lanes_equal<V>(label, j), V{}, exp(shape.at(src, j) - largest));
      }
      rest[i] = total_of(sum)[0];
      shift[i] = largest[0];
      logit[i] = src[label];
    }
    const V s = load(shift), z = load(logit);
    const V loss = log1p(load(rest) + (exp(z - s) - T(1))) + (s - z);
    store_first(this->dst_.template in<T>(context) + first, loss, n);
  }
};

// (softmax(logits) - one_hot(labels))·g
template <class T>
class SparseGradLaunch final : public LastAxisLaunch<T> {
  using V = Vec<T>;

 public:
  explicit SparseGradLaunch(const Binding& binding)
      : LastAxisLaunch<T>(binding), g_(binding.operands[2]) {}

  int64_t local_bytes() const override { return row_scratch<T>(this->width_); }

  void run_lines(const Context& context, int64_t first, int64_t last,
                 std::byte* local) const noexcept override {
    const int64_t width = this->width_, src_row = this->logits_.row(), dst_row = this->dst_.row();
    const T* src = this->logits_.template in<T>(context);
    const T* g = g_.in<T>(context);
    const int32_t* labels = this->labels_.template in<int32_t>(context);
    T* dst = this->dst_.template in<T>(context);
    with_row_vectors<T>(width, [&](auto vectors) {
      const RowShape<T, vectors.value> shape(width);
      bool outside = false;
      for (int64_t i = first; i < last; ++i) {
        const int64_t label = clamp_label(labels[i], width, &outside);
        row(shape, src + i * src_row, label, g[i], dst + i * dst_row, local);
      }
      if (outside) context.raise(kBadLabel);
    });
  }

 private:
  template <int kVectors>
  SLIM_INLINE static void row(const RowShape<T, kVectors>& shape, const T* src, int64_t label, T g,
                              T* dst, std::byte* local) {
    const V shift = shape.largest(src);
    RowVectors<T, kVectors> e(local);
    V sum{};
    for (int64_t j = 0; j < shape.vectors(); ++j) {
      e[j] = exp(shape.at(src, j) - shift);
      sum += e[j];
    }
    const V scale = T(1) / total_of(sum);
    for (int64_t j = 0; j < shape.vectors(); ++j) {
      const V p = e[j] * scale;
      shape.put(dst, j, select(lanes_equal<V>(label, j), p - T(1), p) * g);
    }
  }

  Buffer g_;
};

// -sum(labels·log(softmax(logits)))
template <class T>
class DenseLossLaunch final : public LastAxisLaunch<T> {
  using V = Vec<T>;

 public:
  using LastAxisLaunch<T>::LastAxisLaunch;

  void run_lines(const Context& context, int64_t first, int64_t last,
                 std::byte*) const noexcept override {
    const int64_t width = this->width_, src_row = this->logits_.row(),
                  label_row = this->labels_.row();
    const T* src = this->logits_.template in<T>(context);
    const T* labels = this->labels_.template in<T>(context);
    T* dst = this->dst_.template in<T>(context);
    with_row_vectors<T>(width, [&](auto vectors) {
      const RowShape<T, vectors.value> shape(width);
      for (int64_t i = first; i < last; ++i) {
        dst[i] = row(shape, src + i * src_row, labels + i * label_row);
      }
    });
  }

 private:
  template <int kVectors>
  SLIM_INLINE static T row(const RowShape<T, kVectors>& shape, const T* src, const T* labels) {
    const V shift = finite_shift(shape.largest(src));
    V sum{};
    for (int64_t j = 0; j < shape.vectors(); ++j) sum += exp(shape.at(src, j) - shift);
    const V log_sum = log(total_of(sum));
    V loss{};
    for (int64_t j = 0; j < shape.vectors(); ++j) {
      const V term = load(labels + j * kLanes<T>) * ((shape.at(src, j) - shift) - log_sum);
      loss -= j + 1 < shape.vectors() ? term : select(shape.tail, term, V{});
    }
    return total_of(loss)[0];
  }
};

template <template <class> class KernelOf>
Prepared prepare_of_type(const Binding& binding) {
  require_last_axis(binding);
  if (binding.operands[0].dtype == DType::f32) return std::make_unique<KernelOf<float>>(binding);
  return std::make_unique<KernelOf<double>>(binding);
}

}  // namespace

SLIM_KERNEL(sparse_softmax_cross_entropy, prepare_of_type<SparseLossLaunch>);
SLIM_KERNEL(sparse_softmax_cross_entropy_grad, prepare_of_type<SparseGradLaunch>);
SLIM_KERNEL(softmax_cross_entropy, prepare_of_type<DenseLossLaunch>);

}  // namespace slim::SLIM_ISA_NAMESPACE
