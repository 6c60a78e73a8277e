// What gradients of filters by tiles share: the transform of the result's gradient, and what turns
// sums of products to filters.
#pragma once

#include <memory>
#include <utility>

#include "cpu/conv/winograd_tile.h"

namespace slim::SLIM_ISA_NAMESPACE {

// The gradient of a result: a polynomial of degree 3 at the points of the source's transform.
struct GradTransform {
  static constexpr int kSide = kOut, kShort = TileAxis::kFew;

  template <bool few, class V>
  SLIM_INLINE static void apply(const V* g, V* to, int64_t step) {
    const V g0 = g[0], g1 = g[1];
    if constexpr (few) {
      const V even = g0 * -(1.0f / 6), odd = g1 * (1.0f / 6);
      to[0] = g0 * 0.25f;
      to[step] = even - odd;
      to[2 * step] = even + odd;
      to[5 * step] = g1;
    } else {
      const V g2 = g[2], g3 = g[3];
      const V even = (g0 + g2) * -(1.0f / 6), odd = (g1 + g3) * (1.0f / 6);
      const V low = fma(g0, broadcast<V>(1.0f / 24), g2 * (1.0f / 6));
      const V middle = fma(g1, broadcast<V>(1.0f / 12), g3 * (1.0f / 3));
      to[0] = g0 * 0.25f;
      to[step] = even - odd;
      to[2 * step] = even + odd;
      to[3 * step] = low + middle;
      to[4 * step] = low - middle;
      to[5 * step] = g3;
    }
  }
};

template <class V>
SLIM_INLINE void filter_transform(const V* m, V* to, int64_t step) {
  const V near = m[1] + m[2], far = m[3] + m[4];
  to[0] = m[0] + near + far;
  to[step] = fma(m[3] - m[4], broadcast<V>(2.0f), m[1] - m[2]);
  to[2 * step] = fma(far, broadcast<V>(4.0f), near) + m[5];
}

// Adds the slices in order, and transforms their sums to filters.
template <class Sums>
class FinishFilters final : public Launch {
 public:
  FinishFilters(std::shared_ptr<const Sums> sums, const Buffer& from)
      : sums_(std::move(sums)),
        from_(from),
        split_(Split::by_bytes(kMostSlices * kFrequencies * kVectorBytes)) {}

  int64_t tasks(int64_t) const override { return split_.tasks(vectors()); }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    const Sums& s = *sums_;
    const int64_t slices = s.slices(context.rows), last = split_.last(task, vectors());
    const int64_t matrix = s.geometry.channels * s.geometry.outputs;
    const auto frame = [&](int frequency, int64_t at) {
      F32 sum{};
      for (int64_t slice = 0; slice < slices; ++slice) {
        const float* from = from_.in<float>(context) + slice * s.count();
        sum = sum + load(from + frequency * s.frame() + at);
      }
      return sum;
    };
    for (int64_t vector = split_.first(task); vector < last; ++vector) {
      const int64_t at = vector * kStep;
      F32 half[kTaps * kIn];
      for (int x = 0; x < kIn; ++x) {
        F32 m[kIn];
        for (int y = 0; y < kIn; ++y) m[y] = frame(y * kIn + x, at);
        filter_transform(m, half + x, kIn);
      }
      for (int y = 0; y < kTaps; ++y) {
        F32 tap[kTaps];
        filter_transform(half + y * kIn, tap, 1);
        float* to = s.filters.template in<float>(context) + y * kTaps * matrix + at;
        for (int x = 0; x < kTaps; ++x) store(to + x * matrix, tap[x]);
      }
    }
  }

  Cost cost(int64_t rows) const override {
    const double terms = static_cast<double>(sums_->slices(rows) * sums_->count());
    return {terms, terms * sizeof(float)};
  }

 private:
  int64_t vectors() const { return sums_->geometry.channels * sums_->geometry.outputs / kStep; }

  std::shared_ptr<const Sums> sums_;
  Buffer from_;
  Split split_;  // of vectors of pairs
};

}  // namespace slim::SLIM_ISA_NAMESPACE
