// The gradient of a convolution's input where the map was pooled: of each 2×2 places one has a
// number, and where relu was 0 none. The others are left out instead of multiplied by 0.
#include <algorithm>
#include <memory>

#include "cpu/conv/pooled.h"
#include "cpu/gemm/pack.h"
#include "cpu/gemm/product_end.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

constexpr int kSide = 3;
constexpr int64_t kStep = kLanes<float>;
constexpr int64_t kMostChannels = 4;  // vectors of a block: three taps' sums in registers
constexpr int64_t kOutputs = 64;      // of a piece, bits of a word; filters of a row stay in L1
constexpr int64_t kTileBytes = 24 * 1024;  // of the input's gradient, in L2 beside filters

struct Shape {
  PooledGeometry pooled;
  const FilterGeometry& geometry;
  Buffer d, filters, places, to;
  Parts vectors;  // of channels, in blocks
  Parts lines;    // of windows, one part after the other: their rows of the gradient overlap

  explicit Shape(const Binding& binding)
      : pooled(binding, binding.results[0], binding.operands[1].dims, binding.operands[0]),
        geometry(pooled.geometry),
        d(binding.operands[0]),
        filters(binding.operands[1]),
        places(binding.operands[2]),
        to(binding.results[0]),
        vectors(Parts::of_at_most(geometry.channels / kStep, kMostChannels)) {
    const int64_t fit = kTileBytes / (row() * 4) / 2 - 1;
    lines = Parts::of_at_most(pooled.rows, std::max<int64_t>(fit, 1));
  }
  Shape(const Shape&) = delete;

  int64_t row() const { return (2 * pooled.columns + 2) * vectors.largest() * kStep; }
  int64_t block(int64_t part) const { return vectors.end(part) - vectors.begin(part); }
  int64_t count() const { return 9 * geometry.channels * geometry.outputs; }
};

// The filters as [block of channels][row of taps][output][tap][channel].
class TurnFilters final : public Launch {
 public:
  TurnFilters(std::shared_ptr<const Shape> shape, const Buffer& to)
      : shape_(std::move(shape)), to_(to) {}

  int64_t tasks(int64_t) const override { return shape_->vectors.count * kSide * kSide; }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    const Shape& s = *shape_;
    const int64_t tap = task % (kSide * kSide), part = task / (kSide * kSide);
    const int64_t outputs = s.geometry.outputs, width = s.block(part) * kStep;
    const int64_t first = s.vectors.begin(part) * kStep;
    const float* from =
        s.filters.in<float>(context) + (tap * s.geometry.channels + first) * s.filters.row();
    float* to = to_.in<float>(context) + 9 * outputs * first +
                (tap / kSide * outputs * kSide + tap % kSide) * width;
    transpose_block(from, s.filters.row(), width, outputs, to, kSide * width);
  }

  Cost cost(int64_t) const override {
    return {0, 2.0 * sizeof(float) * static_cast<double>(shape_->count())};
  }

 private:
  std::shared_ptr<const Shape> shape_;
  Buffer to_;
};

// An image and a block of channels a task, windows line by line, into a tile that its finished
// rows leave.
class AddListed final : public Launch {
 public:
  AddListed(const Binding& binding, std::shared_ptr<const Shape> shape, const Buffer& filters)
      : shape_(std::move(shape)), filters_(filters), end_(binding) {}

  int64_t tasks(int64_t rows) const override {
    return std::max<int64_t>(shape_->geometry.images(rows) * shape_->vectors.count, 1);
  }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    const Shape& s = *shape_;
    const int64_t part = task % s.vectors.count, image = task / s.vectors.count;
    if (image >= s.geometry.images(context.rows)) return;
    switch (s.block(part)) {
      case 1:
        return add<1>(context, image, part, local);
      case 2:
        return add<2>(context, image, part, local);
      case 3:
        return add<3>(context, image, part, local);
      default:
        return add<4>(context, image, part, local);
    }
  }

  Cost cost(int64_t rows) const override {
    const FilterGeometry& g = shape_->geometry;
    const double images = static_cast<double>(g.images(rows));
    const double windows = static_cast<double>(shape_->pooled.rows * shape_->pooled.columns);
    const double pixels = static_cast<double>(g.x[1] * g.x[2] * g.channels);
    return {2 * images * windows * static_cast<double>(shape_->count()),
            sizeof(float) * images * (pixels + windows * static_cast<double>(g.outputs))};
  }

  int64_t local_bytes() const override {
    return bits_offset() + shape_->lines.largest() * shape_->pooled.columns * 32 + kAlignment +
           (end_.has_tape() ? end_.local_bytes() + kAlignment : 0);
  }

 private:
  int64_t bits_offset() const {
    const int64_t bytes = (2 * shape_->lines.largest() + 2) * shape_->row() * 4;
    return (bytes + kAlignment - 1) / kAlignment * kAlignment + kAlignment;
  }

  template <int vectors>
  void add(const Context& context, int64_t image, int64_t part, std::byte* local) const {
    constexpr int64_t kWidth = vectors * kStep;
    const Shape& s = *shape_;
    const PooledGeometry& p = s.pooled;
    const int64_t row = (2 * p.columns + 2) * kWidth;
    auto* tile = reinterpret_cast<float*>(local);
    std::fill_n(tile, 2 * row, 0.0f);
    for (int64_t i = 0; i < s.lines.count; ++i) {
      const int64_t first = s.lines.begin(i), count = s.lines.end(i) - first;
      std::fill_n(tile + 2 * row, 2 * count * row, 0.0f);
      for (int64_t n = 0; n < s.geometry.outputs; n += kOutputs) {
        add_lines<vectors>(context, image, part, first, count, n, tile, row, local);
      }
      const bool last = i + 1 == s.lines.count;
      // Rows of the tile that no window below reads, or all down to the input's end.
      const int64_t top = 2 * first - s.geometry.before[1], rows = 2 * count + (last ? 2 : 0);
      leave<vectors>(context, image, part, i == 0 ? std::min<int64_t>(top, 0) : top,
                     last ? std::max(s.geometry.x[1], top + rows) : top + rows, top, rows, tile,
                     row, local);
      if (!last) std::copy_n(tile + 2 * count * row, 2 * row, tile);
    }
  }

  // What some outputs of lines of windows give: of each window and place, the outputs whose
  // number it has are bits.
  template <int vectors>
  void add_lines(const Context& context, int64_t image, int64_t part, int64_t first, int64_t lines,
                 int64_t n, float* tile, int64_t row, std::byte* local) const {
    constexpr int64_t kWidth = vectors * kStep;
    const Shape& s = *shape_;
    const PooledGeometry& p = s.pooled;
    const int64_t outputs = s.geometry.outputs, piece = std::min(kOutputs, outputs - n);
    const int64_t from = (image * p.rows + first) * p.columns;
    const int64_t d_row = s.d.row(), places_row = s.places.row();
    const float* d = s.d.in<float>(context) + from * d_row + n;
    const uint8_t* places = s.places.in<uint8_t>(context) + from * places_row + n;
    auto* bits = reinterpret_cast<uint64_t*>(local + bits_offset());
    for (int64_t w = 0; w < lines * p.columns; ++w) {
      const uint64_t some = nonzero_bits(d + w * d_row, piece);
      for (int place = 0; place < 4; ++place) {
        bits[4 * w + place] =
            some & equal_bits(places + w * places_row, static_cast<uint8_t>(place), piece);
      }
    }
    const float* filters =
        filters_.in<float>(context) + 9 * outputs * s.vectors.begin(part) * kStep;
    for (int tap = 0; tap < kSide; ++tap) {
      const float* of_row = filters + (tap * outputs + n) * kSide * kWidth;
      for (int64_t y = 0; y < lines; ++y) {
        for (int64_t x = 0; x < p.columns; ++x) {
          const int64_t w = y * p.columns + x;
          for (int64_t place = 0; place < 4; ++place) {
            if (bits[4 * w + place] == 0) continue;
            add_terms<vectors>(
                bits[4 * w + place], d + w * d_row, of_row,
                tile + (2 * y + place / 2 + tap) * row + (2 * x + place % 2) * kWidth);
          }
        }
      }
    }
  }

  // Apart, so that sums stay in registers.
  template <int vectors>
  [[gnu::noinline]] static void add_terms(uint64_t bits, const float* d, const float* filters,
                                          float* to) {
    constexpr int kAll = kSide * vectors;
    F32 sum[kAll];
#pragma GCC unroll 12
    for (int j = 0; j < kAll; ++j) sum[j] = load(to + j * kStep);
    do {
      const int n = __builtin_ctzll(bits);
      const F32 number = broadcast<F32>(d[n]);
      const float* filter = filters + n * kAll * kStep;
#pragma GCC unroll 12
      for (int j = 0; j < kAll; ++j) sum[j] = fma(number, load(filter + j * kStep), sum[j]);
      bits &= bits - 1;
    } while (bits != 0);
#pragma GCC unroll 12
    for (int j = 0; j < kAll; ++j) store(to + j * kStep, sum[j]);
  }

  // Rows [begin, end) of the input's gradient, of which the tile has `rows` from `top` on; what
  // no window reads is zero before its finish.
  template <int vectors>
  void leave(const Context& context, int64_t image, int64_t part, int64_t begin, int64_t end,
             int64_t top, int64_t rows, const float* tile, int64_t row, std::byte* local) const {
    constexpr int64_t kWidth = vectors * kStep;
    const Shape& s = *shape_;
    const int64_t width = s.geometry.x[2], columns = 2 * s.pooled.columns + 2;
    const int64_t left = s.geometry.before[2], j = s.vectors.begin(part) * kStep;
    const Finish<float> finish = end_.finish(context, 0, 0);
    float* to = s.to.in<float>(context);
    std::byte* of_tape = local + local_bytes() - end_.local_bytes() - kAlignment;
    for (int64_t h = std::max<int64_t>(begin, 0); h < std::min(end, s.geometry.x[1]); ++h) {
      const int64_t pixel = (image * s.geometry.x[1] + h) * width;
      const bool inside = h >= top && h < top + rows;
      for (int64_t w = 0; w < width; ++w) {
        const bool there = inside && w + left < columns;
        const float* from = there ? tile + (h - top) * row + (w + left) * kWidth : kNothing;
        if (end_.has_tape()) {
          end_.run_tape(context, {pixel + w, pixel + w + 1, j, j + kWidth}, from, kWidth, of_tape);
          continue;
        }
#pragma GCC unroll 4
        for (int k = 0; k < vectors; ++k) {
          F32 sum[1][1] = {{load(from + k * kStep)}};
          finish_sums(sum, finish, pixel + w, j + k * kStep);
          store(to + (pixel + w) * s.to.row() + j + k * kStep, sum[0][0]);
        }
      }
    }
  }

  alignas(kAlignment) static constexpr float kNothing[kMostChannels * kStep] = {};

  std::shared_ptr<const Shape> shape_;
  Buffer filters_;
  ProductEnd<float> end_;
};

}  // namespace

bool has_pooled_input_grad(const Binding& binding) {
  if (binding.operands[0].dtype != DType::f32) return false;
  const PooledGeometry pooled(binding, binding.results[0], binding.operands[1].dims,
                              binding.operands[0]);
  return is_usual_pooling(pooled) && has_whole_channels(pooled.geometry);
}

std::vector<int64_t> pooled_input_grad_workspace(const Binding& binding) {
  return {Shape(binding).count() * int64_t{sizeof(float)}};
}

Prepared prepare_pooled_input_grad(const Binding& binding) {
  const auto shape = std::make_shared<const Shape>(binding);
  Prepared prepared(std::make_unique<TurnFilters>(shape, binding.workspace[0]));
  prepared.launches.push_back(std::make_unique<AddListed>(binding, shape, binding.workspace[0]));
  return prepared;
}

}  // namespace slim::SLIM_ISA_NAMESPACE
