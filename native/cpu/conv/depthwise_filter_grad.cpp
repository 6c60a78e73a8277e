// The gradient of a depthwise convolution's filters: sums over all pixels, those of some taps
// in registers at once.
#include <memory>
#include <optional>

#include "cpu/conv/depthwise.h"
#include "cpu/conv/depthwise_sums.h"
#include "cpu/conv/filter_slices.h"
#include "cpu/conv/region.h"
#include "cpu/gemm/plan.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

constexpr int64_t kPartOutputs = 128;  // of a task: long runs of memory
constexpr int64_t kNearPixels = 32;    // of a row: in L1 for all vectors of a part
constexpr int64_t kBoxBytes = 72 * 1024;
constexpr int64_t kShortRow = 16;  // shorter rows are copied with their zeros

// How sums over pixels are cut: chains of fma over whole rows or a part of one, slices of such
// chains, and parts of the outputs. A function of the shape.
template <class T>
struct ChannelSums {
  FilterGeometry geometry;
  Buffer x, dy, filters;
  int64_t outputs;
  Parts columns;  // of a row of positions
  int64_t lines;  // of a chain
  Parts parts;    // of the outputs' vectors

  explicit ChannelSums(const Binding& binding)
      : geometry(binding, binding.operands[0], binding.results[0].dims, binding.operands[1]),
        x(binding.operands[0]),
        dy(binding.operands[1]),
        filters(binding.results[0]),
        outputs(geometry.groups * geometry.outputs),
        columns(Parts::of_at_most(geometry.y[2], kFoldK)),
        lines(std::max<int64_t>(kFoldK / std::max<int64_t>(geometry.y[2], 1), 1)),
        parts(Parts::of_at_most(vectors_of(outputs, kLanes<T>), kPartOutputs / kLanes<T>)) {}

  int64_t all_lines(int64_t rows) const {
    return geometry.images(rows) * geometry.y[0] * geometry.y[1];
  }
  int64_t chunks(int64_t rows) const {
    return (all_lines(rows) + lines - 1) / lines * columns.count;
  }
  int64_t slices(int64_t rows) const {
    const int64_t bytes = all_lines(rows) * geometry.y[2] * outputs * int64_t{sizeof(T)};
    const int64_t worth = bytes * (1 + geometry.taps() / 8) / kTaskBytes;
    return std::clamp<int64_t>(slices_of(parts.count, worth), 1,
                               std::max<int64_t>(chunks(rows), 1));
  }
  int64_t count() const { return geometry.taps() * filters.row(); }
};

template <class T>
class DepthwiseFilterGrad final : public Launch {
 public:
  DepthwiseFilterGrad(const Binding& binding, std::shared_ptr<const ChannelSums<T>> sums)
      : sums_(std::move(sums)), spread_(sums_->geometry.outputs) {
    if (!binding.workspace.empty()) partial_ = binding.workspace[0];
    for (int axis = 0; axis < kAxes; ++axis) {
      phase_[axis] = forward_phases(sums_->geometry, axis)[0];
    }
    width_ = sums_->parts.largest() * kLanes<T>;
    pitch_ = Pitch(sums_->geometry.x, sums_->x.row());
    const FilterGeometry& g = sums_->geometry;
    boxed_ = g.outputs == 1 && g.flat() && g.y[2] <= kShortRow && box_bytes(1) <= kBoxBytes;
    if (!boxed_) return;
    const int64_t most = std::min(g.y[1], sums_->lines);
    while (box_lines_ < most && box_bytes(box_lines_ + 1) <= kBoxBytes) ++box_lines_;
  }

  int64_t tasks(int64_t rows) const override { return sums_->slices(rows) * sums_->parts.count; }

  int64_t local_bytes() const override {
    const int64_t box = boxed_ ? box_bytes(box_lines_) + kVectorBytes : 0;
    return sums_->geometry.taps() * width_ * int64_t{sizeof(T)} + box;
  }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    const ChannelSums<T>& s = *sums_;
    const int64_t part = task % s.parts.count, slice = task / s.parts.count;
    const int64_t slices = s.slices(context.rows), chunks = s.chunks(context.rows);
    const int64_t first = chunks * slice / slices, last = chunks * (slice + 1) / slices;
    T* chain = reinterpret_cast<T*>(local);
    T* total = (slices > 1 ? *partial_ : s.filters).template in<T>(context) + slice * s.count();
    const Range outputs = {s.parts.begin(part) * kLanes<T>,
                           std::min(s.parts.end(part) * kLanes<T>, s.outputs)};
    if (first == last) {
      std::fill_n(chain, s.geometry.taps() * width_, T{0});
      add(chain, outputs, false, total);
    }
    for (int64_t chunk = first; chunk < last; ++chunk) {
      std::fill_n(chain, s.geometry.taps() * width_, T{0});
      const int64_t line = chunk / s.columns.count * s.lines;
      const int64_t end = std::min(line + s.lines, s.all_lines(context.rows));
      const int64_t column = chunk % s.columns.count;
      const Range positions = {s.columns.begin(column), s.columns.end(column)};
      for (int64_t i = line; i < end;) {
        const int64_t image = i / s.geometry.y[1];
        const int64_t image_end = std::min(end, (image + 1) * s.geometry.y[1]);
        if (boxed_) {
          add_box(context, i, image_end, outputs, chain, chain + s.geometry.taps() * width_);
          i = image_end;
        } else {
          add_line(context, i++, positions, outputs, chain);
        }
      }
      add(chain, outputs, chunk > first, total);
    }
  }

  Cost cost(int64_t rows) const override {
    const FilterGeometry& g = sums_->geometry;
    const double images = static_cast<double>(g.images(rows) * g.groups);
    const double products = static_cast<double>(volume(g.y) * g.taps() * g.outputs);
    const double pixels = static_cast<double>(volume(g.x) + volume(g.y) * g.outputs);
    return {2 * images * products, sizeof(T) * images * pixels};
  }

 private:
  // A chain's sums to those of the chains before it.
  void add(const T* chain, Range outputs, bool accumulate, T* total) const {
    for (int64_t tap = 0; tap < sums_->geometry.taps(); ++tap, chain += width_) {
      T* to = total + tap * sums_->filters.row() + outputs.first;
      for (int64_t o = 0; o < outputs.length(); o += kLanes<T>) {
        Vec<T> v = load(chain + o);
        if (accumulate) v = load(to + o) + v;
        store_first(to + o, v, std::min<int64_t>(kLanes<T>, outputs.length() - o));
      }
    }
  }

  // Positions of a row, each with the taps that read x there.
  void add_line(const Context& context, int64_t number, Range positions, Range outputs,
                T* chain) const noexcept {
    const ChannelSums<T>& s = *sums_;
    const FilterGeometry& g = s.geometry;
    const auto& [d, h, w] = phase_;
    const int64_t at_h = number % g.y[1], at_d = number / g.y[1] % g.y[0];
    const int64_t image = number / g.y[1] / g.y[0];
    const Range in_d = taps_inside(d, at_d, g.x[0]), in_h = taps_inside(h, at_h, g.x[1]);
    const T* x = s.x.template in<T>(context) + image * g.x[0] * pitch_.depth +
                 pitch_.at(d.scale * at_d, h.scale * at_h, 0);
    SumCall<T> call = call_for(outputs);
    call.x_step = w.scale * pitch_.pixel;
    call.tap_step = g.dilation[2] * pitch_.pixel;
    const T* dy = s.dy.template in<T>(context) + number * g.y[2] * call.dy_step;
    for (int64_t at = positions.first; at < positions.last;) {
      const Range in_w = taps_inside(w, at, g.x[2]);
      int64_t end = at + 1;  // of the positions that see the same taps
      while (end < positions.last && end - at < kNearPixels) {
        const Range next = taps_inside(w, end, g.x[2]);
        if (next.first != in_w.first || next.last != in_w.last) break;
        ++end;
      }
      call.pixels = end - at;
      call.dy = dy + at * call.dy_step;
      add_all(call, in_d, in_h, in_w, x + at * call.x_step, pitch_, chain);
      at = end;
    }
  }

  // Lines of one image, each part of x with the zeros around it: all taps read all positions.
  void add_box(const Context& context, int64_t number, int64_t end, Range outputs, T* chain,
               T* copy) const noexcept {
    const ChannelSums<T>& s = *sums_;
    const FilterGeometry& g = s.geometry;
    const Range every[kAxes] = {{0, 1}, {0, g.kernel[1]}, {0, g.kernel[2]}};
    const int64_t image = number / g.y[1];
    const T* x = s.x.template in<T>(context) + image * pitch_.depth + outputs.first;
    const Pitch pitch(box_size(box_lines_), outputs.length());
    const T* first_tap = copy - outputs.first + pitch.at(0, g.before[1], g.before[2]);
    SumCall<T> call = call_for(outputs);
    call.x_step = phase_[2].scale * pitch.pixel;
    call.tap_step = g.dilation[2] * pitch.pixel;
    call.pixels = g.y[2];
    call.x_line = phase_[1].scale * pitch.row - call.pixels * call.x_step;
    for (; number < end; number += call.lines) {
      call.lines = std::min(end - number, box_lines_);
      const int64_t top = number % g.y[1] * g.stride[1] - g.before[1];
      const Box box = {{0, top, -g.before[2]}, box_size(call.lines)};
      copy_box(x, g.x, pitch_, outputs.length(), box, copy, pitch);
      call.dy = s.dy.template in<T>(context) + number * g.y[2] * call.dy_step;
      add_all(call, every[0], every[1], every[2], first_tap, pitch, chain);
    }
  }

  SumCall<T> call_for(Range outputs) const {
    SumCall<T> call;
    call.dy_step = sums_->dy.row();
    call.sums_step = width_;
    call.first = outputs.first;
    call.last = outputs.last;
    call.spread = &spread_;
    return call;
  }

  // As many taps at once as registers hold; x is what a tap without offset reads.
  void add_all(SumCall<T>& call, Range in_d, Range in_h, Range in_w, const T* x, const Pitch& pitch,
               T* chain) const noexcept {
    const FilterGeometry& g = sums_->geometry;
    const auto& [d, h, w] = phase_;
    if (in_d.length() * in_h.length() * in_w.length() == 0) return;
    const Parts across = Parts::of_at_most(in_w.length(), kTapColumns);
    const int64_t most_rows = std::min<int64_t>(kTapRows, kMostSums / across.largest());
    const Parts down = Parts::of_at_most(in_d.length() * in_h.length(), most_rows);
    for (int64_t part = 0; part < across.count; ++part) {
      const int64_t k = in_w.first + across.begin(part);
      const int64_t columns = across.end(part) - across.begin(part);
      for (int64_t some = 0; some < down.count; ++some) {
        for (int64_t row = down.begin(some); row < down.end(some); ++row) {
          const int64_t i = in_d.first + row / in_h.length();
          const int64_t j = in_h.first + row % in_h.length();
          const int64_t to = row - down.begin(some);
          call.x[to] = x + pitch.at(d.offset[i], h.offset[j], w.offset[k]);
          call.sums[to] = chain + ((i * g.kernel[1] + j) * g.kernel[2] + k) * width_;
        }
        const int64_t rows = down.end(some) - down.begin(some);
        (g.outputs > 1 ? add_taps_of<T, true>(rows, columns)
                       : add_taps_of<T, false>(rows, columns))(call);
      }
    }
  }

  PerAxis box_size(int64_t count) const {
    const FilterGeometry& g = sums_->geometry;
    PerAxis size = {1, g.stride[1] * (count - 1), g.stride[2] * (g.y[2] - 1)};
    for (int axis = 1; axis < kAxes; ++axis)
      size[axis] += (g.kernel[axis] - 1) * g.dilation[axis] + 1;
    return size;
  }
  int64_t box_bytes(int64_t count) const {
    return volume(box_size(count)) * width_ * int64_t{sizeof(T)};
  }

  std::shared_ptr<const ChannelSums<T>> sums_;
  std::optional<Buffer> partial_;  // [slices, filters]
  Spread<T> spread_;
  std::array<Phase, kAxes> phase_;
  int64_t width_ = 0;  // of a tap's sums
  Pitch pitch_;        // of x
  bool boxed_ = false;
  int64_t box_lines_ = 1;
};

template <class T>
Prepared prepare(const Binding& binding) {
  const auto sums = std::make_shared<const ChannelSums<T>>(binding);
  Prepared prepared(std::make_unique<DepthwiseFilterGrad<T>>(binding, sums));
  if (!binding.workspace.empty()) {
    prepared.launches.push_back(
        std::make_unique<AddFilterSlices<T, ChannelSums<T>>>(binding, sums));
  }
  return prepared;
}

template <class T>
std::vector<int64_t> workspace(const Binding& binding) {
  const ChannelSums<T> sums(binding);
  const int64_t slices = sums.slices(capacity_of(binding));
  if (slices == 1) return {};
  return {slices * sums.count() * int64_t{sizeof(T)}};
}

}  // namespace

Prepared prepare_depthwise_filter_grad(const Binding& binding) {
  return binding.operands[0].dtype == DType::f32 ? prepare<float>(binding)
                                                 : prepare<double>(binding);
}

std::vector<int64_t> depthwise_filter_grad_workspace(const Binding& binding) {
  return binding.operands[0].dtype == DType::f32 ? workspace<float>(binding)
                                                 : workspace<double>(binding);
}

}  // namespace slim::SLIM_ISA_NAMESPACE
