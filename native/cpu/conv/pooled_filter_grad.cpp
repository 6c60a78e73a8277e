// The gradient of filters whose map was pooled: of each 2×2 places one has a number, and where
// relu was 0 none. The others are left out instead of multiplied by 0.
#include <algorithm>
#include <memory>

#include "cpu/conv/filter_slices.h"
#include "cpu/conv/pooled.h"
#include "cpu/gemm/pack.h"
#include "cpu/math.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

constexpr int kTaps = 9, kSide = 3;
constexpr int64_t kStep = kLanes<float>;
constexpr int64_t kMostChannels = 4;      // vectors of a block: three taps' sums in registers
constexpr int64_t kBoxBytes = 20 * 1024;  // of x, in L1 beside lists
constexpr int64_t kMostWindows = 512;     // of a block: a chain of fma
constexpr int64_t kFewWindows = kMostWindows / 4;  // that may have all their places

// How the sum over windows is cut: into blocks, each a chain of fma, and slices of images, added
// in the end. A function of the shape.
struct PooledSums {
  PooledGeometry pooled;
  const FilterGeometry& geometry;
  Buffer x, d, places, filters;
  bool few;
  Parts vectors;  // of channels, in blocks
  WindowBlocks blocks;

  explicit PooledSums(const Binding& binding)
      : pooled(binding, binding.operands[0], binding.results[0].dims, binding.operands[1]),
        geometry(pooled.geometry),
        x(binding.operands[0]),
        d(binding.operands[1]),
        places(binding.operands[2]),
        filters(binding.results[0]),
        few(has_few_channels(geometry)),
        vectors(few ? Parts(1, 1) : Parts::of_at_most(geometry.channels / kStep, kMostChannels)),
        blocks(pooled, (few ? geometry.channels : vectors.largest() * kStep) * 4, kBoxBytes,
               few ? kFewWindows : kMostWindows) {}
  PooledSums(const PooledSums&) = delete;

  int64_t count() const { return kTaps * geometry.channels * geometry.outputs; }
  int64_t images(int64_t rows) const { return geometry.images(rows); }
  double flops(int64_t rows) const {
    return 2.0 * static_cast<double>(images(rows) * pooled.rows * pooled.columns) *
           static_cast<double>(count());
  }
  int64_t slices(int64_t rows) const {
    const auto worth = static_cast<int64_t>(flops(rows) / kTaskFlops);
    return std::clamp<int64_t>(slices_of(vectors.count, worth), 1,
                               std::max<int64_t>(images(rows), 1));
  }
};

// Blocks of windows, image by image, of a slice.
class PooledSumsLaunch : public Launch {
 public:
  PooledSumsLaunch(std::shared_ptr<const PooledSums> sums, const Buffer& to)
      : sums_(std::move(sums)), to_(to), x_(sums_->geometry.x, sums_->geometry.channels) {
    const WindowBlock most = sums_->blocks.largest();
    box_ = Pitch(most.box(sums_->geometry.before).size, box_channels(0));
  }

  int64_t tasks(int64_t rows) const override { return sums_->slices(rows) * sums_->vectors.count; }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    const PooledSums& s = *sums_;
    const FilterGeometry& g = s.geometry;
    const int64_t part = task % s.vectors.count, slice = task / s.vectors.count;
    const int64_t images = s.images(context.rows), slices = s.slices(context.rows);
    const int64_t first_channel = s.few ? 0 : s.vectors.begin(part) * kStep;
    const bool alone = s.few && slices == 1;  // no launch follows that adds
    float* sums = (alone ? s.filters : to_).in<float>(context) + slice * s.count();
    float* box = reinterpret_cast<float*>(local);
    zero(sums, part);
    for (int64_t image = images * slice / slices; image < images * (slice + 1) / slices; ++image) {
      const float* x = s.x.in<float>(context) + image * g.x[1] * x_.row + first_channel;
      for (int64_t i = 0; i < s.blocks.count(); ++i) {
        const WindowBlock block = s.blocks.at(i);
        const int64_t channels = box_channels(part);
        const Pitch pitch(box_of(block).size, channels);
        copy_box(x, g.x, x_, channels, box_of(block), box, pitch);
        add(context, image, block, part, box, pitch, sums, local + box_bytes());
      }
    }
  }

  Cost cost(int64_t rows) const override {
    const FilterGeometry& g = sums_->geometry;
    const double images = static_cast<double>(g.images(rows));
    const double read = static_cast<double>(g.x[1] * g.x[2] * g.channels +
                                            sums_->pooled.rows * sums_->pooled.columns * g.outputs);
    return {sums_->flops(rows), sizeof(float) * images * read};
  }

 protected:
  virtual void zero(float* sums, int64_t part) const = 0;
  // Adds what a block's windows give, `box` being what they read.
  virtual void add(const Context& context, int64_t image, const WindowBlock& block, int64_t part,
                   const float* box, const Pitch& pitch, float* sums, std::byte* local) const = 0;

  int64_t box_channels(int64_t part) const {
    const PooledSums& s = *sums_;
    return s.few ? s.geometry.channels : (s.vectors.end(part) - s.vectors.begin(part)) * kStep;
  }
  Box box_of(const WindowBlock& block) const { return block.box(sums_->geometry.before); }
  int64_t box_bytes() const {
    return (box_.depth * 4 + kAlignment - 1) / kAlignment * kAlignment + kAlignment;
  }
  // The first output of a window.
  int64_t window(int64_t image, int64_t y, int64_t x) const {
    const PooledGeometry& p = sums_->pooled;
    return ((image * p.rows + y) * p.columns + x) * sums_->geometry.outputs;
  }

  std::shared_ptr<const PooledSums> sums_;
  Buffer to_;
  Pitch x_, box_;
};

// Of whole vectors of channels. Of each output, a list of its numbers and of what the first tap
// reads there; sums are [output, tap, channel].
class SumListed final : public PooledSumsLaunch {
 public:
  using PooledSumsLaunch::PooledSumsLaunch;

  int64_t local_bytes() const override {
    return box_bytes() + sums_->geometry.outputs * (row() * 8 + 4) + 3 * kAlignment;
  }

 private:
  int64_t row() const {  // of a list
    const WindowBlock most = sums_->blocks.largest();
    return most.height * most.width + 1;
  }

  void zero(float* sums, int64_t part) const override {
    const PooledSums& s = *sums_;
    const int64_t channels = s.geometry.channels, first = s.vectors.begin(part) * kStep;
    for (int64_t i = 0; i < s.geometry.outputs * kTaps; ++i) {
      std::fill_n(sums + i * channels + first, box_channels(part), 0.0f);
    }
  }

  void add(const Context& context, int64_t image, const WindowBlock& block, int64_t part,
           const float* box, const Pitch& pitch, float* sums, std::byte* local) const override {
    const PooledSums& s = *sums_;
    const int64_t outputs = s.geometry.outputs, row = this->row();
    auto* number = reinterpret_cast<float*>(local);
    auto* from = reinterpret_cast<int32_t*>(number + outputs * row);
    auto* count = from + outputs * row;
    std::fill_n(count, outputs, 0);
    const int32_t tap[4] = {0, static_cast<int32_t>(pitch.pixel), static_cast<int32_t>(pitch.row),
                            static_cast<int32_t>(pitch.row + pitch.pixel)};
    for (int64_t y = 0; y < block.height; ++y) {
      for (int64_t x = 0; x < block.width; ++x) {
        const int64_t at = window(image, block.y + y, block.x + x);
        const float* d = s.d.in<float>(context) + at;
        const uint8_t* places = s.places.in<uint8_t>(context) + at;
        const auto corner = static_cast<int32_t>(pitch.at(0, 2 * y, 2 * x));
        for (int64_t n = 0; n < outputs; ++n) {
          const int64_t to = n * row + count[n];
          number[to] = d[n];
          from[to] = corner + tap[places[n] & 3];
          count[n] += d[n] != 0;
        }
      }
    }
    const int64_t channels = s.geometry.channels;
    float* to = sums + s.vectors.begin(part) * kStep;
    for (int64_t n = 0; n < outputs; ++n, number += row, from += row, to += kTaps * channels) {
      if (count[n] == 0) continue;
      switch (pitch.pixel / kStep) {
        case 1:
          add_taps<1>(box, pitch, number, from, count[n], to, channels);
          break;
        case 2:
          add_taps<2>(box, pitch, number, from, count[n], to, channels);
          break;
        case 3:
          add_taps<3>(box, pitch, number, from, count[n], to, channels);
          break;
        default:
          add_taps<4>(box, pitch, number, from, count[n], to, channels);
      }
    }
  }

  template <int vectors>
  static void add_taps(const float* box, const Pitch& pitch, const float* number,
                       const int32_t* from, int32_t count, float* to, int64_t channels) {
    for (int y = 0; y < kSide; ++y, box += pitch.row) {
      F32 sum[kSide][vectors] = {};
      for (int32_t i = 0; i < count; ++i) {
        const F32 d = broadcast<F32>(number[i]);
        const float* x = box + from[i];
#pragma GCC unroll 3
        for (int tap = 0; tap < kSide; ++tap) {
#pragma GCC unroll 4
          for (int j = 0; j < vectors; ++j) {
            sum[tap][j] = fma(d, load(x + (tap * vectors + j) * kStep), sum[tap][j]);
          }
        }
      }
#pragma GCC unroll 3
      for (int tap = 0; tap < kSide; ++tap, to += channels) {
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j) store(to + j * kStep, load(to + j * kStep) + sum[tap][j]);
      }
    }
  }
};

// Adds the slices of SumListed in order, and turns them to filters: a tap and kWholeVectors
// channels a task.
class TurnListed final : public Launch {
 public:
  TurnListed(std::shared_ptr<const PooledSums> sums, const Buffer& from)
      : sums_(std::move(sums)), from_(from) {}

  int64_t tasks(int64_t) const override { return kTaps * sums_->geometry.channels / kWholeVectors; }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    const PooledSums& s = *sums_;
    const int64_t channels = s.geometry.channels, outputs = s.geometry.outputs;
    const int64_t tap = task % kTaps, first = task / kTaps * kWholeVectors;
    const int64_t slices = s.slices(context.rows);
    auto* sum = reinterpret_cast<float*>(local);
    const float* from = from_.in<float>(context) + tap * channels + first;
    for (int64_t n = 0; n < outputs; ++n, from += kTaps * channels) {
      add_slices(from, slices, s.count(), sum + n * kWholeVectors, kWholeVectors);
    }
    float* to = s.filters.in<float>(context) + (tap * channels + first) * outputs;
    transpose_block(sum, kWholeVectors, outputs, kWholeVectors, to, outputs);
  }

  Cost cost(int64_t rows) const override {
    const double terms = static_cast<double>(sums_->slices(rows) * sums_->count());
    return {terms, terms * sizeof(float)};
  }
  int64_t local_bytes() const override {
    return sums_->geometry.outputs * kWholeVectors * 4 + kAlignment;
  }

 private:
  std::shared_ptr<const PooledSums> sums_;
  Buffer from_;
};

// Of few channels: a vector of outputs has places of its own, so that all four are multiplied,
// three of them by 0. Sums are filters.
class SumMasked final : public PooledSumsLaunch {
 public:
  using PooledSumsLaunch::PooledSumsLaunch;

  int64_t local_bytes() const override { return box_bytes(); }

 private:
  void zero(float* sums, int64_t) const override { std::fill_n(sums, sums_->count(), 0.0f); }

  void add(const Context& context, int64_t image, const WindowBlock& block, int64_t,
           const float* box, const Pitch& pitch, float* sums, std::byte*) const override {
    const FilterGeometry& g = sums_->geometry;
    for (int64_t n = 0; n < g.outputs; n += kStep) {
      for (int64_t c = 0; c < g.channels; ++c) {
        add_taps(context, image, block, n, box + c, pitch, sums + c * g.outputs + n);
      }
    }
  }

  void add_taps(const Context& context, int64_t image, const WindowBlock& block, int64_t n,
                const float* box, const Pitch& pitch, float* to) const {
    const PooledSums& s = *sums_;
    F32 sum[kTaps] = {};
    for (int64_t y = 0; y < block.height; ++y) {
      const int64_t at = window(image, block.y + y, block.x) + n;
      const float* d = s.d.in<float>(context) + at;
      const uint8_t* places = s.places.in<uint8_t>(context) + at;
      const float* x = box + pitch.at(0, 2 * y, 0);
      for (int64_t i = 0; i < block.width; ++i) {
        const I32 place = load_bytes(places);
        const F32 all = load(d);
        F32 part[4];
#pragma GCC unroll 4
        for (int p = 0; p < 4; ++p) part[p] = select(place == p, all, F32{});
#pragma GCC unroll 4
        for (int a = 0; a < 4; ++a) {
#pragma GCC unroll 4
          for (int b = 0; b < 4; ++b) {
            const F32 pixel = broadcast<F32>(x[a * pitch.row + b * pitch.pixel]);
#pragma GCC unroll 4
            for (int p = 0; p < 4; ++p) {
              const int h = a - p / 2, w = b - p % 2;
              if (h < 0 || h >= kSide || w < 0 || w >= kSide) continue;
              sum[h * kSide + w] = fma(pixel, part[p], sum[h * kSide + w]);
            }
          }
        }
        d += s.geometry.outputs;
        places += s.geometry.outputs;
        x += 2 * pitch.pixel;
      }
    }
    const int64_t tap = s.geometry.channels * s.geometry.outputs;
    for (int t = 0; t < kTaps; ++t, to += tap) store(to, load(to) + sum[t]);
  }
};

}  // namespace

bool has_pooled_filter_grad(const Binding& binding) {
  if (binding.operands[0].dtype != DType::f32) return false;
  const PooledGeometry pooled(binding, binding.operands[0], binding.results[0].dims,
                              binding.operands[1]);
  return is_usual_pooling(pooled) &&
         (has_few_channels(pooled.geometry) || has_whole_channels(pooled.geometry));
}

std::vector<int64_t> pooled_filter_grad_workspace(const Binding& binding) {
  const PooledSums sums(binding);
  return {sums.slices(capacity_of(binding)) * sums.count() * int64_t{sizeof(float)}};
}

Prepared prepare_pooled_filter_grad(const Binding& binding) {
  const auto sums = std::make_shared<const PooledSums>(binding);
  const Buffer& partial = binding.workspace[0];
  Prepared prepared;
  if (sums->few) {
    prepared.launches.push_back(std::make_unique<SumMasked>(sums, partial));
    prepared.launches.push_back(
        std::make_unique<AddFilterSlices<float, PooledSums>>(binding, sums));
  } else {
    prepared.launches.push_back(std::make_unique<SumListed>(sums, partial));
    prepared.launches.push_back(std::make_unique<TurnListed>(sums, partial));
  }
  return prepared;
}

}  // namespace slim::SLIM_ISA_NAMESPACE
