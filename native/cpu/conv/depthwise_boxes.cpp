// Depthwise convolutions of images with many channels: some channels of a block of rows are
// copied together with the zeros around them, and stay in L1 while all their windows are read.
#include <memory>

#include "cpu/conv/depthwise.h"
#include "cpu/conv/depthwise_pixels.h"
#include "cpu/conv/region.h"
#include "cpu/gemm/product.h"
#include "cpu/gemm/product_end.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

constexpr int64_t kFewSets = 4096;    // bytes between pixels: a multiple wastes L1
constexpr int64_t kPartOutputs = 64;  // copied at once: whole lines, and all parts equal
constexpr int64_t kBoxBytes = 72 * 1024;

// Positions of a source, first to last, both inclusive.
struct Reach {
  int64_t first = 0, last = 0;
};

template <class T>
class DepthwiseBoxes final : public Launch {
 public:
  DepthwiseBoxes(const Binding& binding, bool backward)
      : geometry_(binding, backward ? binding.results[0] : binding.operands[0],
                  binding.operands[1].dims, backward ? binding.operands[0] : binding.results[0]),
        from_(binding.operands[0]),
        filters_(binding.operands[1]),
        to_(binding.results[0]),
        source_(backward ? geometry_.y : geometry_.x),
        result_(backward ? geometry_.x : geometry_.y),
        heights_(backward ? backward_phases(geometry_, 1) : forward_phases(geometry_, 1)),
        widths_(backward ? backward_phases(geometry_, 2) : forward_phases(geometry_, 2)),
        parts_(Parts::of_at_most(geometry_.groups / kLanes<T>, kPartOutputs / kLanes<T>)),
        from_pitch_(source_, from_.row()),
        end_(binding) {
    width_ = parts_.largest() * kLanes<T>;
    columns_ = reach(widths_, 0, result_[2]);
    int64_t most = std::max<int64_t>(result_[1], 1);
    do {
      blocks_ = Parts::of_at_most(result_[1], most);
      rows_ = 1;
      for (int64_t block = 0; block < blocks_.count; ++block) {
        const Reach rows = reach(heights_, blocks_.begin(block), blocks_.end(block));
        rows_ = std::max(rows_, rows.last - rows.first + 1);
      }
    } while (box_bytes() > kBoxBytes && most-- > 1);
    box_ = Pitch({1, rows_, columns_.last - columns_.first + 1}, width_);
    for (const Phase& h : heights_) {
      for (const Phase& w : widths_) {
        std::vector<Tap> taps;
        for (size_t i = 0; i < h.offset.size(); ++i) {
          for (size_t j = 0; j < w.offset.size(); ++j) {
            taps.push_back({box_.at(0, h.offset[i], w.offset[j]),
                            (h.tap[i] * geometry_.kernel[2] + w.tap[j]) * width_});
          }
        }
        taps_.push_back(std::move(taps));
      }
    }
  }

  int64_t tasks(int64_t rows) const override {
    return std::max<int64_t>(geometry_.images(rows), 1) * blocks_.count * parts_.count;
  }

  int64_t local_bytes() const override {
    return tile_offset() + (end_.has_tape() ? tile_bytes() + end_.local_bytes() : 0);
  }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    const int64_t part = task % parts_.count, block = task / parts_.count % blocks_.count;
    const int64_t image = task / parts_.count / blocks_.count;
    if (image >= geometry_.images(context.rows)) return;
    const int64_t output = parts_.begin(part) * kLanes<T>;
    const int64_t outputs = parts_.end(part) * kLanes<T> - output;
    const Reach rows = reach(heights_, blocks_.begin(block), blocks_.end(block));
    const Box box = {{0, rows.first, columns_.first},
                     {1, rows.last - rows.first + 1, columns_.last - columns_.first + 1}};
    const T* source = from_.in<T>(context) + image * from_pitch_.depth + output;
    T* copy = reinterpret_cast<T*>(local);
    copy_box(source, source_, from_pitch_, outputs, box, copy, box_);
    T* filters = reinterpret_cast<T*>(local + filters_offset());
    for (int64_t tap = 0; tap < geometry_.taps(); ++tap) {
      std::copy_n(filters_.in<T>(context) + tap * filters_.row() + output, outputs,
                  filters + tap * width_);
    }

    const int64_t first = image * result_[1] + blocks_.begin(block);  // row of results
    const bool tape = end_.has_tape();
    T* to = tape ? reinterpret_cast<T*>(local + tile_offset())
                 : to_.in<T>(context) + first * result_[2] * to_.row() + output;
    const int64_t pixel = tape ? width_ : to_.row();
    Prefetcher next;  // of what the next part copies
    if (part + 1 < parts_.count) {
      const int64_t top = std::max<int64_t>(rows.first, 0);
      const int64_t pixels = (std::min(rows.last + 1, source_[1]) - top) * source_[2];
      const int64_t lines = blocks_.end(block) - blocks_.begin(block);
      next = {source + outputs + top * from_pitch_.row, from_pitch_.pixel * int64_t{sizeof(T)},
              outputs * int64_t{sizeof(T)}, pixels, lines};
    }
    for (int64_t y = blocks_.begin(block); y < blocks_.end(block); ++y) {
      next.advance();
      const int64_t row = (image * result_[1] + y) * result_[2];
      line(copy - box_.at(0, rows.first, columns_.first), filters, y, outputs,
           end_.finish(context, row, output), to + (y - blocks_.begin(block)) * result_[2] * pixel,
           pixel);
    }
    if (!tape) return;
    const int64_t row = first * result_[2];
    const int64_t count = (blocks_.end(block) - blocks_.begin(block)) * result_[2];
    end_.run_tape(context, {row, row + count, output, output + outputs}, to, width_,
                  local + tile_offset() + tile_bytes());
  }

  Cost cost(int64_t rows) const override {
    const FilterGeometry& g = geometry_;
    const double images = static_cast<double>(g.images(rows) * g.groups);
    return {2 * images * static_cast<double>(volume(g.y) * g.taps()),
            sizeof(T) * images * static_cast<double>(volume(g.x) + volume(g.y))};
  }

 private:
  static int64_t rounded(int64_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment + kAlignment;
  }
  int64_t box_bytes() const {
    return rows_ * (columns_.last - columns_.first + 1) * width_ * int64_t{sizeof(T)};
  }
  int64_t filters_offset() const { return rounded(box_bytes()); }
  int64_t tile_offset() const {
    return filters_offset() + rounded(geometry_.taps() * width_ * int64_t{sizeof(T)});
  }
  int64_t tile_bytes() const {
    return rounded(blocks_.largest() * result_[2] * width_ * int64_t{sizeof(T)});
  }

  // What results first … last - 1 of an axis read of the source.
  static Reach reach(const std::vector<Phase>& phases, int64_t first, int64_t last) {
    Reach reach{0, -1};
    for (int64_t at = first; at < last; ++at) {
      const auto count = static_cast<int64_t>(phases.size());
      const Phase& phase = phases[static_cast<size_t>(at % count)];
      if (phase.offset.empty()) continue;
      const int64_t base = phase.scale * (at / count);
      const Reach one{base + phase.offset.front(), base + phase.offset.back()};
      if (reach.last < reach.first) reach = one;
      reach = {std::min(reach.first, one.first), std::max(reach.last, one.last)};
    }
    return reach.last < reach.first ? Reach{} : reach;
  }

  // A row of results, whose taps all lie in the box.
  void line(const T* source, const T* filters, int64_t y, int64_t outputs, const Finish<T>& finish,
            T* to, int64_t pixel) const {
    const auto heights = static_cast<int64_t>(heights_.size());
    const auto widths = static_cast<int64_t>(widths_.size());
    const Phase& h = heights_[static_cast<size_t>(y % heights)];
    PixelCall<T> call;
    call.filters = filters;
    call.outputs = outputs;
    for (int64_t phase = 0; phase < widths; ++phase) {
      const Phase& w = widths_[static_cast<size_t>(phase)];
      const auto& taps = taps_[static_cast<size_t>(y % heights * widths + phase)];
      call.taps = taps.data();
      call.count = static_cast<int64_t>(taps.size());
      call.x_step = w.scale * box_.pixel;
      call.y_step = w.step * pixel;
      if (!end_.has_tape()) call.finish = finish.every(w.step);
      const Parts blocks = Parts::of_at_most(w.count, kPixels);
      for (int64_t block = 0; block < blocks.count; ++block) {
        const int64_t first = blocks.begin(block), x = w.first + w.step * first;
        call.x = source + box_.at(0, h.scale * (y / heights), w.scale * first);
        call.y = to + x * pixel;
        if (!end_.has_tape()) call.finish.begin_at(finish, x);
        pixel_row_of<T, false>(blocks.end(block) - first)(call);
      }
    }
  }

  FilterGeometry geometry_;
  Buffer from_, filters_, to_;
  PerAxis source_, result_;  // sizes of an image
  std::vector<Phase> heights_, widths_;
  Parts parts_;        // of vectors of outputs
  Parts blocks_;       // of rows of results
  int64_t width_ = 0;  // outputs of a part
  Reach columns_;      // of the source
  int64_t rows_ = 0;   // of a box
  Pitch from_pitch_, box_;
  ProductEnd<T> end_;
  std::vector<std::vector<Tap>> taps_;  // by phases
};

}  // namespace

bool fits_boxes(const Binding& binding, bool backward) {
  const Buffer &from = binding.operands[0], &to = binding.results[0];
  const FilterGeometry g(binding, backward ? to : from, binding.operands[1].dims,
                         backward ? from : to);
  return g.outputs == 1 && g.flat() && volume(g.x) > 0 && volume(g.y) > 0 &&
         g.groups * size_of(from.dtype) % kFewSets == 0;
}

Prepared prepare_depthwise_boxes(const Binding& binding, bool backward) {
  if (binding.operands[0].dtype == DType::f32) {
    return std::make_unique<DepthwiseBoxes<float>>(binding, backward);
  }
  return std::make_unique<DepthwiseBoxes<double>>(binding, backward);
}

}  // namespace slim::SLIM_ISA_NAMESPACE
