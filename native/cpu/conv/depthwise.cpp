// Depthwise convolution and its gradient in x: a result's row in blocks of pixels that stay in
// registers, taps outside of the source left out.
#include "cpu/conv/depthwise.h"

#include <memory>

#include "cpu/conv/depthwise_pixels.h"
#include "cpu/conv/region.h"
#include "cpu/gemm/product.h"
#include "cpu/gemm/product_end.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

template <class T>
class Depthwise final : public Launch {
 public:
  Depthwise(const Binding& binding, bool backward)
      : geometry_(binding, backward ? binding.results[0] : binding.operands[0],
                  binding.operands[1].dims, backward ? binding.operands[0] : binding.results[0]),
        backward_(backward),
        from_(binding.operands[0]),
        filters_(binding.operands[1]),
        to_(binding.results[0]),
        source_(backward ? geometry_.y : geometry_.x),
        result_(backward ? geometry_.x : geometry_.y),
        outputs_(geometry_.groups * geometry_.outputs),
        from_pitch_(source_, from_.row()),
        spread_(geometry_.outputs),
        end_(binding) {
    for (int axis = 0; axis < kAxes; ++axis) {
      phases_[axis] = backward ? backward_phases(geometry_, axis) : forward_phases(geometry_, axis);
    }
    for (const Phase& d : phases_[0]) {
      for (const Phase& h : phases_[1]) {
        for (const Phase& w : phases_[2]) {
          std::vector<Tap> all(static_cast<size_t>(geometry_.taps()));
          all.resize(static_cast<size_t>(select(d, h, w, whole(d), whole(h), whole(w), &all[0])));
          taps_.push_back(std::move(all));
        }
      }
    }
    for (const Phase& phase : phases_[2]) {
      int64_t first = 0, last = phase.count;
      const auto all = [&](int64_t position) {
        return taps_inside(phase, position, source_[2]).length() == whole(phase).length();
      };
      while (first < last && !all(first)) ++first;
      while (last > first && !all(last - 1)) --last;
      inside_.push_back({first, last});
    }
    const int64_t line = result_[2] * outputs_ * int64_t{sizeof(T)};
    split_ = Split::by_bytes(line * (1 + geometry_.stride[2]));
  }

  int64_t tasks(int64_t rows) const override { return split_.tasks(lines(rows)); }

  int64_t local_bytes() const override {
    return contracted_offset() + (tiled() ? line_bytes(to_channels()) + end_.local_bytes() : 0);
  }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    const int64_t last = split_.last(task, lines(context.rows));
    for (int64_t i = split_.first(task); i < last; ++i) line(context, i, local);
  }

  Cost cost(int64_t rows) const override {
    const FilterGeometry& g = geometry_;
    const double images = static_cast<double>(g.images(rows) * g.groups);
    const double products = static_cast<double>(volume(g.y) * g.taps() * g.outputs);
    const double pixels = static_cast<double>(volume(g.x) + volume(g.y) * g.outputs);
    return {2 * images * products, sizeof(T) * images * pixels};
  }

 private:
  static int64_t rounded(int64_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment + kAlignment;
  }
  static Range whole(const Phase& phase) { return {0, static_cast<int64_t>(phase.offset.size())}; }
  int64_t lines(int64_t rows) const { return geometry_.images(rows) * result_[0] * result_[1]; }
  // Outputs of a channel give their sum back to it.
  bool contracts() const { return backward_ && geometry_.outputs > 1; }
  bool tiled() const { return contracts() || end_.has_tape(); }
  int64_t to_channels() const { return backward_ ? geometry_.groups : outputs_; }
  int64_t line_bytes(int64_t channels) const {
    return rounded(result_[2] * channels * int64_t{sizeof(T)});
  }
  int64_t tile_offset() const { return rounded(geometry_.taps() * int64_t{sizeof(Tap)}); }
  int64_t contracted_offset() const { return tile_offset() + (tiled() ? line_bytes(outputs_) : 0); }

  // The taps in these ranges, in the order of the filters' phases.
  int64_t select(const Phase& d, const Phase& h, const Phase& w, Range in_d, Range in_h, Range in_w,
                 Tap* to) const {
    const PerAxis& kernel = geometry_.kernel;
    int64_t count = 0;
    for (int64_t i = in_d.first; i < in_d.last; ++i) {
      for (int64_t j = in_h.first; j < in_h.last; ++j) {
        for (int64_t k = in_w.first; k < in_w.last; ++k) {
          const int64_t tap = (d.tap[i] * kernel[1] + h.tap[j]) * kernel[2] + w.tap[k];
          to[count++] = {from_pitch_.at(d.offset[i], h.offset[j], w.offset[k]),
                         tap * filters_.row()};
        }
      }
    }
    return count;
  }

  // A row of pixels.
  void line(const Context& context, int64_t number, std::byte* local) const noexcept {
    auto* selected = reinterpret_cast<Tap*>(local);
    T* tile = reinterpret_cast<T*>(local + tile_offset());
    const int64_t y = number % result_[1], z = number / result_[1] % result_[0];
    const int64_t image = number / result_[1] / result_[0];
    const auto depths = static_cast<int64_t>(phases_[0].size());
    const auto heights = static_cast<int64_t>(phases_[1].size());
    const auto widths = static_cast<int64_t>(phases_[2].size());
    const Phase& d = phases_[0][z % depths];
    const Phase& h = phases_[1][y % heights];
    const int64_t at_d = z / depths, at_h = y / heights;
    const Range in_d = taps_inside(d, at_d, source_[0]), in_h = taps_inside(h, at_h, source_[1]);
    const bool every = in_d.length() == whole(d).length() && in_h.length() == whole(h).length();
    const T* source = from_.in<T>(context) + image * source_[0] * from_pitch_.depth +
                      from_pitch_.at(d.scale * at_d, h.scale * at_h, 0);
    const int64_t row = number * result_[2];
    T* to = to_.in<T>(context) + row * to_.row();

    PixelCall<T> call;
    call.filters = filters_.in<T>(context);
    call.outputs = outputs_;
    call.spread = &spread_;
    const int64_t pixel = tiled() ? outputs_ : to_.row();
    const Finish<T> finish = end_.finish(context, row, 0);
    Prefetcher next;  // what the next row of results is the first to read
    if (y % heights == 0 && !h.offset.empty()) {
      const int64_t below = h.scale * at_h + h.offset.back() + 1;
      const int64_t rows = std::min(h.scale, source_[1] - below);
      const int64_t blocks = (result_[2] + kPixels - 1) / kPixels;
      next = {source + (below - h.scale * at_h) * from_pitch_.row,
              from_pitch_.row * int64_t{sizeof(T)}, from_pitch_.row * int64_t{sizeof(T)},
              below >= 0 ? rows : 0, blocks};
    }
    for (int64_t phase = 0; phase < widths; ++phase) {
      const Phase& w = phases_[2][phase];
      call.x_step = w.scale * from_pitch_.pixel;
      call.y_step = w.step * pixel;
      const auto pixels = [&](int64_t first, int64_t count) {
        next.advance();
        const int64_t x = w.first + w.step * first;
        call.x = source + first * call.x_step;
        call.y = (tiled() ? tile : to) + x * pixel;
        if (!tiled()) call.finish = finish.at(x, 0).every(w.step);
        (spreads() ? pixel_row_of<T, true>(count) : pixel_row_of<T, false>(count))(call);
      };
      const Range inside = inside_[phase];
      const auto edge = [&](int64_t position) {
        call.taps = selected;
        const Range in_w = taps_inside(w, position, source_[2]);
        call.count = select(d, h, w, in_d, in_h, in_w, selected);
        pixels(position, 1);
      };
      for (int64_t position = 0; position < inside.first; ++position) edge(position);
      if (every) {
        const auto& all = taps_[((z % depths) * heights + y % heights) * widths + phase];
        call.taps = all.data();
        call.count = static_cast<int64_t>(all.size());
      } else {
        call.taps = selected;
        call.count = select(d, h, w, in_d, in_h, whole(w), selected);
      }
      const Parts blocks = Parts::of_at_most(inside.length(), kPixels);
      for (int64_t block = 0; block < blocks.count && inside.length() > 0; ++block) {
        pixels(inside.first + blocks.begin(block), blocks.end(block) - blocks.begin(block));
      }
      for (int64_t position = inside.last; position < w.count; ++position) edge(position);
    }
    if (!tiled()) return;
    if (contracts()) {
      T* sums = end_.has_tape() ? reinterpret_cast<T*>(local + contracted_offset()) : to;
      contract(tile, sums);
      if (!end_.has_tape()) finish_rows(to, to_.row(), result_[2], geometry_.groups, finish);
      tile = sums;
    }
    if (end_.has_tape()) {
      const int64_t channels = to_channels();
      end_.run_tape(context, {row, row + result_[2], 0, channels}, tile, channels,
                    local + contracted_offset() + line_bytes(channels));
    }
  }

  bool spreads() const { return !backward_ && geometry_.outputs > 1; }

  void contract(const T* tile, T* sums) const {
    const int64_t n = geometry_.outputs;
    for (int64_t i = 0; i < result_[2] * geometry_.groups; ++i, tile += n) {
      T sum = tile[0];
      for (int64_t j = 1; j < n; ++j) sum += tile[j];
      sums[i] = sum;
    }
  }

  FilterGeometry geometry_;
  bool backward_;
  Buffer from_, filters_, to_;
  PerAxis source_, result_;  // sizes of an image
  int64_t outputs_;          // of a pixel
  Pitch from_pitch_;
  Spread<T> spread_;
  ProductEnd<T> end_;
  std::array<std::vector<Phase>, kAxes> phases_;
  std::vector<std::vector<Tap>> taps_;  // all taps, by phases
  std::vector<Range> inside_;           // by phase: pixels that all taps of a row are inside for
  Split split_;                         // of rows
};

}  // namespace

Prepared prepare_depthwise(const Binding& binding, bool backward) {
  if (fits_boxes(binding, backward)) return prepare_depthwise_boxes(binding, backward);
  if (binding.operands[0].dtype == DType::f32) {
    return std::make_unique<Depthwise<float>>(binding, backward);
  }
  return std::make_unique<Depthwise<double>>(binding, backward);
}

}  // namespace slim::SLIM_ISA_NAMESPACE
