// Convolution and its gradient in x: both are products of what windows read with packed filters,
// C's rows the positions of the result, read where they lie or from a copy with its zeros.
#include <memory>
#include <optional>

#include "cpu/check.h"
#include "cpu/conv/depthwise.h"
#include "cpu/conv/taps.h"
#include "cpu/conv/winograd.h"
#include "cpu/gemm/pack.h"
#include "cpu/gemm/product.h"
#include "cpu/gemm/product_end.h"
#include "cpu/kernel_set.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

// What a task reads and writes: in L2, beside a panel of filters. Where all filters are more than
// L2 holds each task fetches them from afar, and is so large that they are worth it.
constexpr int64_t kBoxBytes = 192 * 1024;
constexpr int64_t kFarFiltersBox = 640 * 1024;
constexpr int64_t kLeastPixels = 256;     // fewer leave a panel of filters badly used
constexpr int64_t kFewPixels = 64;        // fewer, and columns are shared out instead
constexpr int64_t kFarBox = 1152 * 1024;  // of several images: a piece of k reads a part of it
constexpr int64_t kFarPixels = 128;       // fewer are not worth all of far filters
constexpr int64_t kMostCuts = 8;          // of a row of positions

// A convolution, forward or backward, as products.
template <class T>
struct Windows {
  FilterGeometry geometry;
  bool backward;
  Buffer from, filters, to;
  PerAxis source, result;     // sizes of an image
  int64_t channels, columns;  // of a group: k of a tap, and C's
  std::array<std::vector<Phase>, kAxes> phases;
  PerAxis least = {}, reach = {};  // offsets: the least, and the largest behind it
  std::vector<Taps> taps;
  MicroTile tile;
  Panels<T> panels{1, 1};
  std::vector<int64_t> packed;  // where the filters of each taps begin, those of a group together
  int64_t packed_group = 0;

  Windows(const Binding& binding, bool backward)
      : geometry(binding, backward ? binding.results[0] : binding.operands[0],
                 binding.operands[1].dims, backward ? binding.operands[0] : binding.results[0]),
        backward(backward),
        from(binding.operands[0]),
        filters(binding.operands[1]),
        to(binding.results[0]),
        source(backward ? geometry.y : geometry.x),
        result(backward ? geometry.x : geometry.y),
        channels(backward ? geometry.outputs : geometry.channels),
        columns(backward ? geometry.channels : geometry.outputs) {
    for (int axis = 0; axis < kAxes; ++axis) {
      phases[axis] = backward ? backward_phases(geometry, axis) : forward_phases(geometry, axis);
      const auto [low, high] = reach_of(phases[axis]);
      least[axis] = low;
      reach[axis] = high - low;
    }
    taps = all_taps(phases, geometry.kernel, channels);
    const int64_t positions = phases[2].empty() ? 1 : phases[2][0].count;
    tile = choose_tile<T>(std::clamp<int64_t>(positions, 1, 64), columns);
    panels = Panels<T>(columns, tile.vectors);
    for (const Taps& one : taps) {
      packed.push_back(packed_group);
      packed_group += one.depth() * panels.length() * kLanes<T>;
    }
  }

  int64_t packed_count() const { return packed_group * geometry.groups; }
  bool far_filters() const { return packed_group * int64_t{sizeof(T)} > kFarBytes; }
};

// The filters in the order in which register tiles read them: panel by panel, k by k. A task does
// some channels, whose rows it reads whole; where it turns them, a panel, for the same.
template <class T>
class PackFilters final : public Launch {
 public:
  PackFilters(std::shared_ptr<const Windows<T>> windows, const Buffer& workspace)
      : windows_(std::move(windows)), packed_(workspace) {}

  int64_t tasks(int64_t) const override {
    return windows_->geometry.groups * static_cast<int64_t>(windows_->taps.size()) * parts();
  }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    const Windows<T>& w = *windows_;
    const int64_t part = task % parts();
    const auto which = static_cast<size_t>(task / parts()) % w.taps.size();
    const int64_t group = task / parts() / static_cast<int64_t>(w.taps.size());
    const Taps& taps = w.taps[which];
    const int64_t row = w.filters.row(), tap_size = w.geometry.channels * row;
    T* packed = packed_.in<T>(context) + group * w.packed_group + w.packed[which];
    int64_t before = 0;  // taps
    for (const int64_t tap : taps.taps()) {
      const T* matrix =
          w.filters.template in<T>(context) + tap * tap_size + group * w.geometry.outputs;
      const int64_t depth = before++ * w.channels;
      if (w.backward) {
        const auto [first, columns, width] = panel(part);
        T* to = packed + first * taps.depth() + depth * width;
        if (columns < width) std::fill(to, to + w.channels * width, T{0});
        transpose_block(matrix + first * row, row, columns, w.channels, to, width);
        continue;
      }
      const Parts some = channels();
      for (int64_t k = some.begin(part); k < some.end(part); ++k) {
        for (int64_t i = 0; i < w.panels.count(); ++i) {
          const auto [first, columns, width] = panel(i);
          T* to = packed + first * taps.depth() + (depth + k) * width;
          std::copy_n(matrix + k * row + first, columns, to);
          std::fill(to + columns, to + width, T{0});
        }
      }
    }
  }

  Cost cost(int64_t) const override {
    return {0, 2.0 * sizeof(T) * static_cast<double>(windows_->packed_count())};
  }

 private:
  struct Panel {
    int64_t first, columns, width;
  };
  Panel panel(int64_t i) const {
    const Windows<T>& w = *windows_;
    const int64_t first = w.panels.begin(i) * kLanes<T>, width = w.panels.vectors(i) * kLanes<T>;
    return {first, std::min(width, w.columns - first), width};
  }
  Parts channels() const { return Parts::of_at_most(windows_->channels, 16); }
  int64_t parts() const { return windows_->backward ? windows_->panels.count() : channels().count; }

  std::shared_ptr<const Windows<T>> windows_;
  Buffer packed_;
};

template <class T>
class Convolve final : public Launch {
 public:
  Convolve(const Binding& binding, std::shared_ptr<const Windows<T>> windows)
      : windows_(std::move(windows)), packed_(packed_filters(binding)), end_(binding) {
    const Windows<T>& w = *windows_;
    from_ = Pitch(w.source, w.from.row());
    to_ = Pitch(w.result, w.to.row());
    cut(capacity_of(binding));
    box_ = Pitch(most_box_, w.channels);
    tile_ = Pitch(most_tile_, tile_columns());
    for (const Taps& taps : w.taps) {
      there_.push_back(taps.segments(w.least, from_));
      copied_.push_back(taps.segments(w.least, box_));
    }
  }

  int64_t tasks(int64_t rows) const override {
    const int64_t sets = (windows_->geometry.images(rows) + images_ - 1) / images_;
    return std::max<int64_t>(sets * blocks() * windows_->geometry.groups * parts_.count, 1);
  }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    const Windows<T>& w = *windows_;
    Task at;
    at.part = task % parts_.count;
    at.group = task / parts_.count % w.geometry.groups;
    int64_t rest = task / parts_.count / w.geometry.groups;
    for (int axis = kAxes - 1; axis >= 0; --axis) {
      const int64_t block = rest % blocks_[axis].count;
      rest /= blocks_[axis].count;
      at.begin[axis] = blocks_[axis].begin(block);
      at.end[axis] = blocks_[axis].end(block);
    }
    at.image = rest * images_;
    at.images = std::min(images_, w.geometry.images(context.rows) - at.image);
    if (at.images <= 0 || volume(w.result) == 0 || w.columns == 0) return;

    const Box box = box_of(at);
    const T* source = w.from.template in<T>(context) + at.image * w.source[0] * from_.depth;
    // Segments go over whole pixels of a group, which must follow each other.
    const bool there = from_.pixel == w.channels && box.inside(w.source);
    T* copy = reinterpret_cast<T*>(local);
    if (there) {
      at.from = source + from_.at(box.origin[0], box.origin[1], box.origin[2]);
      at.from_image = w.source[0] * from_.depth;
      at.pitch = &from_;
    } else {
      at.from_image = box_elements();
      for (int64_t image = 0; image < at.images; ++image) {
        copy_box(source + image * w.source[0] * from_.depth + at.group * w.channels, w.source,
                 from_, w.channels, box, copy + image * at.from_image, box_);
      }
      at.from = copy;
      at.pitch = &box_;
    }
    for (size_t which = 0; which < w.taps.size(); ++which) {
      const auto& segments = there ? there_[which] : copied_[which];
      multiply(context, at, which, segments.data(), local);
    }
    if (end_.has_tape()) run_tape(context, at, local);
  }

  Cost cost(int64_t rows) const override {
    const FilterGeometry& g = windows_->geometry;
    const double images = static_cast<double>(g.images(rows));
    const double pixels = static_cast<double>(volume(g.x)) * static_cast<double>(g.channels) +
                          static_cast<double>(volume(g.y)) * static_cast<double>(g.outputs);
    const double products =
        static_cast<double>(volume(g.y) * g.taps()) * static_cast<double>(g.channels * g.outputs);
    const double groups = static_cast<double>(g.groups);
    return {2 * images * groups * products, sizeof(T) * images * groups * pixels};
  }

  int64_t local_bytes() const override {
    return tile_offset() + (end_.has_tape() ? tile_bytes() + end_.local_bytes() : 0);
  }

 private:
  // Positions, counted as the phases do, of some images; a part of the columns of a group.
  struct Task {
    int64_t image = 0, images = 0, group = 0, part = 0;
    PerAxis begin = {}, end = {};
    const T* from = nullptr;  // the box of the first image
    int64_t from_image = 0;
    const Pitch* pitch = nullptr;
  };

  static int64_t rounded(int64_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment + kAlignment;
  }
  int64_t box_elements() const { return most_box_[0] * box_.depth; }
  int64_t tile_offset() const { return rounded(images_ * box_elements() * int64_t{sizeof(T)}); }
  int64_t tile_image() const { return volume(most_tile_) * tile_columns(); }
  int64_t tile_bytes() const { return rounded(images_ * tile_image() * int64_t{sizeof(T)}); }
  int64_t tile_columns() const { return parts_.largest() * windows_->tile.vectors * kLanes<T>; }
  int64_t blocks() const { return blocks_[0].count * blocks_[1].count * blocks_[2].count; }
  // Results apart along an axis that count as one position.
  int64_t step(int axis) const {
    return windows_->phases[axis].empty() ? 1 : windows_->phases[axis][0].step;
  }
  int64_t scale(int axis) const {
    return windows_->phases[axis].empty() ? 1 : windows_->phases[axis][0].scale;
  }
  int64_t positions(int axis) const {
    return windows_->phases[axis].empty() ? 0 : windows_->phases[axis][0].count;
  }
  int64_t box_size(int axis, int64_t count) const {
    return scale(axis) * (count - 1) + windows_->reach[axis] + 1;
  }
  int64_t bytes_of(const PerAxis& count) const {
    int64_t box = windows_->channels, tile = windows_->columns;
    for (int axis = 0; axis < kAxes; ++axis) {
      box *= box_size(axis, count[axis]);
      tile *= count[axis] * step(axis);
    }
    return (box + tile) * int64_t{sizeof(T)};
  }

  // Blocks of positions whose box fits, the one that reads least of it twice; several images
  // where one has few; enough tasks. No sum depends on any of it.
  void cut(int64_t rows) {
    const Windows<T>& w = *windows_;
    PerAxis all, best;
    for (int axis = 0; axis < kAxes; ++axis) all[axis] = std::max<int64_t>(positions(axis), 1);
    const int64_t box_bytes = w.far_filters() ? kFarFiltersBox : kBoxBytes;
    double best_score = 0;
    for (int64_t cuts = 1; cuts <= kMostCuts; ++cuts) {
      PerAxis count = {1, 1, (all[2] + cuts - 1) / cuts};
      while (count[1] < all[1]) {
        ++count[1];
        if (bytes_of(count) <= box_bytes) continue;
        --count[1];
        break;
      }
      const double read = static_cast<double>(box_size(1, count[1]) * box_size(2, count[2]));
      const double score = read / static_cast<double>(count[1] * count[2]);
      if (cuts == 1 || (bytes_of(count) <= box_bytes && score < best_score) ||
          bytes_of(best) > box_bytes) {
        best = count;
        best_score = score;
      }
      if (count[2] <= 16) break;
    }
    for (int axis = 0; axis < kAxes; ++axis)
      blocks_[axis] = Parts::of_at_most(all[axis], best[axis]);
    // A few more than are needed share out evenly.
    const int64_t even = (blocks_[1].count + 3) / 4 * 4;
    if (blocks_[1].count > kFewTasks && even <= std::min(all[1], kMostTasks)) {
      blocks_[1] = Parts(all[1], even);
    }
    const int64_t pixels = all[1] * all[2] * step(1) * step(2);
    images_ = std::max<int64_t>(kLeastPixels / std::max<int64_t>(pixels, 1), 1);
    images_ = std::min(images_, std::max<int64_t>(kFarBox / bytes_of(best), 1));
    const int64_t images = std::max<int64_t>(w.geometry.images(rows), 1);
    const auto tasks = [&] {
      return (images + images_ - 1) / images_ * blocks() * w.geometry.groups * parts_.count;
    };
    parts_ = Parts(w.panels.count(), 1);
    images_ = std::min(images_, images);
    const int64_t least_pixels = w.far_filters() ? kFarPixels : 1;
    while (tasks() < kFewTasks && images_ > 1 && (images_ + 1) / 2 * pixels >= least_pixels) {
      images_ = (images_ + 1) / 2;
    }
    if (tasks() < kFewTasks && cost(rows).flops > kTaskFlops) {
      const auto cut_rows = [&](int64_t most) {
        const int64_t wanted = blocks_[1].count * ((kFewTasks + tasks() - 1) / tasks());
        blocks_[1] = Parts(all[1], std::clamp(wanted, blocks_[1].count, most));
      };
      const int64_t least = (kFewPixels + all[2] - 1) / all[2];
      cut_rows(std::max(all[1] / least, blocks_[1].count));
      if (tasks() < kFewTasks) {
        parts_ = Parts::of_one_length(w.panels.count(), (kFewTasks + tasks() - 1) / tasks());
      }
      if (tasks() < kFewTasks) cut_rows(all[1]);
    }
    for (int axis = 0; axis < kAxes; ++axis) {
      most_box_[axis] = box_size(axis, blocks_[axis].largest());
      most_tile_[axis] = blocks_[axis].largest() * step(axis);
    }
  }

  Box box_of(const Task& at) const {
    Box box;
    for (int axis = 0; axis < kAxes; ++axis) {
      box.origin[axis] = scale(axis) * at.begin[axis] + windows_->least[axis];
      box.size[axis] = box_size(axis, at.end[axis] - at.begin[axis]);
    }
    return box;
  }

  // The results of one phase, by one product over its taps.
  void multiply(const Context& context, const Task& at, size_t which, const int64_t* segments,
                std::byte* local) const noexcept {
    const Windows<T>& w = *windows_;
    const Taps& taps = w.taps[which];
    PerAxis count, step, first;  // positions, and where the first lies in the result
    for (int axis = 0; axis < kAxes; ++axis) {
      const Phase& phase = taps.phase(axis);
      count[axis] = std::min(at.end[axis], phase.count) - at.begin[axis];
      if (count[axis] <= 0) return;
      step[axis] = phase.step;
      first[axis] = phase.first + phase.step * at.begin[axis];
    }
    const MicroTables<T>& tables = micro_tables<T>();
    const Parts strips = Parts::of_at_most(count[2], w.tile.rows);
    const bool tape = end_.has_tape();
    const Pitch& to = tape ? tile_ : to_;
    const int64_t first_column = w.panels.begin(parts_.begin(at.part)) * kLanes<T>;
    const T* packed = packed_.in<T>(context) + at.group * w.packed_group + w.packed[which];
    MicroCall<T> call;
    call.a_row = scale(2) * at.pitch->pixel;
    call.a_k = 1;
    call.c_row = step[2] * to.pixel;
    const int64_t lines = at.images * count[0] * count[1];
    const bool far_result = !tape && w.to.count(context.rows) * int64_t{sizeof(T)} > kFarBytes;
    Prefetcher next;  // of the filters of the next panel
    for (const Piece& piece : taps.pieces()) {
      call.k = piece.k;
      call.segments = piece.segments;
      call.segment = segments + piece.segment;
      call.accumulate = piece.row > 0;
      const bool last = &piece == &taps.pieces().back();
      for (int64_t panel = parts_.begin(at.part); panel < parts_.end(at.part); ++panel) {
        const int64_t vectors = w.panels.vectors(panel);
        const int64_t j = w.panels.begin(panel) * kLanes<T>;
        call.b_k = vectors * kLanes<T>;
        call.b = packed + j * taps.depth() + piece.row * call.b_k;
        call.last_columns =
            std::min(vectors * kLanes<T>, w.columns - j) - (vectors - 1) * kLanes<T>;
        if (w.far_filters() && panel + 1 < parts_.end(at.part)) {
          const int64_t width = w.panels.vectors(panel + 1) * kLanes<T>;
          const int64_t bytes = piece.k * piece.segments * width * int64_t{sizeof(T)};
          next = {packed + w.panels.begin(panel + 1) * kLanes<T> * taps.depth() + piece.row * width,
                  bytes, bytes, 1, lines * strips.count};
        }
        const int64_t column = at.group * w.columns + j;
        for (int64_t i = 0; i < lines; ++i) {
          const int64_t h = i % count[1], d = i / count[1] % count[0];
          const int64_t image = i / count[1] / count[0];
          const T* a = at.from + image * at.from_image + piece.at +
                       at.pitch->at(scale(0) * d, scale(1) * h, 0);
          const PerAxis pixel = {first[0] + step[0] * d, first[1] + step[1] * h, first[2]};
          T* c = tape
                     ? reinterpret_cast<T*>(local + tile_offset()) + image * tile_image() +
                           tile_.at(pixel[0] - this->step(0) * at.begin[0],
                                    pixel[1] - this->step(1) * at.begin[1],
                                    pixel[2] - this->step(2) * at.begin[2]) +
                           j - first_column
                     : w.to.template in<T>(context) + (at.image + image) * w.result[0] * to_.depth +
                           to_.at(pixel[0], pixel[1], pixel[2]) + column;
          Finish<T> finish;
          if (last) {
            const int64_t row = index_of(at.image + image, pixel);
            finish = end_.finish(context, row, column).every(step[2]);
          }
          call.finish = last ? &finish : nullptr;
          for (int64_t strip = 0; strip < strips.count; ++strip) {
            const int64_t x = strips.begin(strip), rows = strips.end(strip) - x;
            next.advance();
            call.a = a + x * call.a_row;
            call.c = c + x * call.c_row;
            call.row = x;
            if (far_result) prefetch_tile(call, rows, vectors);
            const auto of_rows = static_cast<size_t>(rows - 1);
            const MicroKernel<T> kernel =
                w.panels.half(panel) ? tables.half[of_rows]
                                     : tables.full[of_rows][static_cast<size_t>(vectors - 1)];
            kernel(call);
          }
        }
      }
    }
  }

  // A result's place among the rows of C.
  int64_t index_of(int64_t image, const PerAxis& pixel) const {
    const PerAxis& size = windows_->result;
    return ((image * size[0] + pixel[0]) * size[1] + pixel[1]) * size[2] + pixel[2];
  }

  void run_tape(const Context& context, const Task& at, std::byte* local) const noexcept {
    const Windows<T>& w = *windows_;
    PerAxis begin, end;
    for (int axis = 0; axis < kAxes; ++axis) {
      begin[axis] = step(axis) * at.begin[axis];
      end[axis] = std::min(step(axis) * at.end[axis], w.result[axis]);
    }
    const int64_t first = w.panels.begin(parts_.begin(at.part)) * kLanes<T>;
    const int64_t last_panel = parts_.end(at.part) - 1;
    const int64_t last = std::min(
        (w.panels.begin(last_panel) + w.panels.vectors(last_panel)) * kLanes<T>, w.columns);
    const int64_t column = at.group * w.columns;
    const T* tile = reinterpret_cast<const T*>(local + tile_offset());
    for (int64_t image = 0; image < at.images; ++image, tile += tile_image()) {
      for (int64_t d = begin[0]; d < end[0]; ++d) {
        for (int64_t h = begin[1]; h < end[1]; ++h) {
          const int64_t row = index_of(at.image + image, {d, h, begin[2]});
          end_.run_tape(context, {row, row + end[2] - begin[2], column + first, column + last},
                        tile + tile_.at(d - begin[0], h - begin[1], 0), tile_.pixel,
                        local + tile_offset() + tile_bytes());
        }
      }
    }
  }

  std::shared_ptr<const Windows<T>> windows_;
  Buffer packed_;
  ProductEnd<T> end_;
  Pitch from_, to_, box_, tile_;
  std::array<Parts, kAxes> blocks_;  // of positions
  Parts parts_;                      // of panels
  int64_t images_ = 1;               // of a task
  PerAxis most_box_ = {}, most_tile_ = {};
  std::vector<std::vector<int64_t>> there_, copied_;  // segments, by taps
};

template <class T>
Prepared prepare(const Binding& binding, bool backward) {
  const auto windows = std::make_shared<const Windows<T>>(binding, backward);
  Prepared prepared(std::make_unique<Convolve<T>>(binding, windows));
  prepared.add_packing(binding, std::make_unique<PackFilters<T>>(windows, packed_filters(binding)));
  return prepared;
}

bool goes_by_channels(const Binding& binding, bool backward) {
  const Buffer &from = binding.operands[0], &to = binding.results[0];
  const std::vector<int64_t>& filters = binding.operands[1].dims;
  return is_depthwise(backward ? FilterGeometry(binding, to, filters, from)
                               : FilterGeometry(binding, from, filters, to));
}

template <bool backward>
Prepared prepare_convolution(const Binding& binding) {
  if (goes_by_channels(binding, backward)) return prepare_depthwise(binding, backward);
  if (fits_winograd(binding, backward)) return prepare_winograd(binding, backward);
  return binding.operands[0].dtype == DType::f32 ? prepare<float>(binding, backward)
                                                 : prepare<double>(binding, backward);
}

template <class T>
Packing packing_of(const Windows<T>& windows) {
  const FilterGeometry& g = windows.geometry;
  std::string layout = "in panels of " + std::to_string(windows.tile.vectors);
  for (const PerAxis& some : {g.stride, g.dilation, g.before}) {  // the order of taps
    for (const int64_t number : some) layout += " " + std::to_string(number);
  }
  layout += windows.backward ? " backward" : "";
  return {1, windows.packed_count() * int64_t{sizeof(T)}, layout};
}

template <bool backward>
std::optional<Packing> convolution_packing(const Binding& binding) {
  if (goes_by_channels(binding, backward)) return {};
  if (fits_winograd(binding, backward)) return winograd_packing(binding, backward);
  if (binding.operands[0].dtype == DType::f32) {
    return packing_of(Windows<float>(binding, backward));
  }
  return packing_of(Windows<double>(binding, backward));
}

template <bool backward>
std::vector<int64_t> convolution_workspace(const Binding& binding) {
  if (binding.packed) return {};
  const auto packing = convolution_packing<backward>(binding);
  return packing ? std::vector<int64_t>{packing->bytes} : std::vector<int64_t>{};
}

}  // namespace

SLIM_KERNEL(convolution, prepare_convolution<false>, convolution_workspace<false>,
            convolution_packing<false>);
SLIM_KERNEL(convolution_input_grad, prepare_convolution<true>, convolution_workspace<true>,
            convolution_packing<true>);

}  // namespace slim::SLIM_ISA_NAMESPACE
