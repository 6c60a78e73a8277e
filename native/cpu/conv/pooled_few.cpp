// Pooled convolutions of few channels, such as the first of a network: the four pixels of a window
// are sums in registers together, and one leaves them.
#include <algorithm>
#include <memory>

#include "cpu/conv/pooled.h"
#include "cpu/conv/pooled_end.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

constexpr int kSide = 3, kPixels = 4;
constexpr int64_t kStep = kLanes<float>;

class PooledFew final : public Launch {
 public:
  explicit PooledFew(const Binding& binding)
      : pooled_(binding, binding.operands[0], binding.operands[1].dims, binding.results[0]),
        x_(binding.operands[0]),
        filters_(binding.operands[1]),
        end_(binding),
        split_(Split::by_bytes(pooled_.columns * kPixels * pooled_.geometry.outputs * 4)) {}

  int64_t tasks(int64_t rows) const override { return split_.tasks(lines(rows)); }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    switch (pooled_.geometry.channels) {
      case 1:
        return run_of<1>(context, task, local);
      case 2:
        return run_of<2>(context, task, local);
      case 3:
        return run_of<3>(context, task, local);
      default:
        return run_of<4>(context, task, local);
    }
  }

  Cost cost(int64_t rows) const override {
    const FilterGeometry& g = pooled_.geometry;
    const double images = static_cast<double>(g.images(rows));
    const double map = static_cast<double>(g.y[1] * g.y[2] * g.outputs);
    return {2 * images * map * static_cast<double>(g.taps() * g.channels),
            sizeof(float) * images * static_cast<double>(g.x[1] * g.x[2] * g.channels) +
                sizeof(float) * images * map / kPixels};
  }

  int64_t local_bytes() const override {
    const WindowBlock block{0, 0, 1, pooled_.columns};
    return volume(block.box(pooled_.geometry.before).size) * kFewChannels * 4 + kAlignment;
  }

 private:
  int64_t lines(int64_t rows) const { return pooled_.geometry.images(rows) * pooled_.rows; }

  template <int channels>
  void run_of(const Context& context, int64_t task, std::byte* local) const {
    const FilterGeometry& g = pooled_.geometry;
    const Pitch from(g.x, channels);
    const int64_t last = split_.last(task, lines(context.rows));
    auto* box = reinterpret_cast<float*>(local);
    for (int64_t line = split_.first(task); line < last; ++line) {
      const WindowBlock block{line % pooled_.rows, 0, 1, pooled_.columns};
      const Box reads = block.box(g.before);
      const Pitch pitch(reads.size, channels);
      copy_box(x_.in<float>(context) + line / pooled_.rows * from.depth, g.x, from, channels, reads,
               box, pitch);
      for (int64_t x = 0; x < pooled_.columns; ++x) {
        const int64_t to = (line * pooled_.columns + x) * g.outputs;
        const float* pixel = box + 2 * x * channels;
        int64_t n = 0;
        for (; n + 2 * kStep <= g.outputs; n += 2 * kStep) {
          window<channels, 2>(context, pixel, pitch.row, n, to + n);
        }
        if (n < g.outputs) window<channels, 1>(context, pixel, pitch.row, n, to + n);
      }
    }
  }

  template <int channels, int vectors>
  SLIM_INLINE void window(const Context& context, const float* x, int64_t row, int64_t n,
                          int64_t to) const {
    F32 sum[kPixels][vectors] = {};
    const int64_t outputs = pooled_.geometry.outputs;
    const float* filters = filters_.in<float>(context) + n;
#pragma GCC unroll 3
    for (int h = 0; h < kSide; ++h) {
#pragma GCC unroll 12
      for (int w = 0; w < kSide * channels; ++w, filters += outputs) {
        F32 filter[vectors];
#pragma GCC unroll 2
        for (int j = 0; j < vectors; ++j) filter[j] = load(filters + j * kStep);
#pragma GCC unroll 4
        for (int p = 0; p < kPixels; ++p) {
          const F32 pixel = broadcast<F32>(x[(h + p / 2) * row + w + p % 2 * channels]);
#pragma GCC unroll 2
          for (int j = 0; j < vectors; ++j) sum[p][j] = fma(pixel, filter[j], sum[p][j]);
        }
      }
    }
    end_.store(context, sum, n, to);
  }

  PooledGeometry pooled_;
  Buffer x_, filters_;
  PooledEnd end_;
  Split split_;  // of lines of windows
};

}  // namespace

bool has_pooled_few(const Binding& binding) {
  if (binding.operands[0].dtype != DType::f32) return false;
  const PooledGeometry pooled(binding, binding.operands[0], binding.operands[1].dims,
                              binding.results[0]);
  return is_usual_pooling(pooled) && has_few_channels(pooled.geometry);
}

Prepared prepare_pooled_few(const Binding& binding) { return std::make_unique<PooledFew>(binding); }

}  // namespace slim::SLIM_ISA_NAMESPACE
