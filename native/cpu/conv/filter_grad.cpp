// The gradient of a convolution's filters: for every tap a product of what it read with the
// gradient of the result, summed over all positions of all images.
#include <algorithm>
#include <memory>
#include <optional>

#include "cpu/check.h"
#include "cpu/conv/depthwise.h"
#include "cpu/conv/filter_slices.h"
#include "cpu/conv/region.h"
#include "cpu/conv/winograd.h"
#include "cpu/gemm/pack.h"
#include "cpu/gemm/plan.h"
#include "cpu/kernel_set.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

constexpr int64_t kBoxBytes = 768 * 1024;  // what a chunk reads of x; it streams from L2
constexpr int64_t kPartColumns = 64;       // fewer, and x is copied too often
constexpr int64_t kFarPixel = 1024;        // bytes, and multiples: pixels fall on few sets of L1

// How the sum over positions is cut: into chunks, each a chain of fma, and slices of chunks,
// added in the end. A function of the shape.
template <class T>
struct Sums {
  FilterGeometry geometry;
  Buffer x, dy, filters;
  Pitch pitch;         // of x
  PerAxis reach;       // of the kernel, less one
  int64_t images = 1;  // of a chunk, which then has them whole
  std::array<Parts, kAxes> blocks;
  bool padded;          // x is copied with a line behind each pixel
  bool joined;          // taps beside each other read neighbours: one product
  int64_t m, products;  // rows of C of a product, products of a group
  MicroTile tile;
  Panels<T> panels{1, 1};
  Parts parts;  // of panels

  explicit Sums(const Binding& binding)
      : geometry(binding, binding.operands[0], binding.results[0].dims, binding.operands[1]),
        x(binding.operands[0]),
        dy(binding.operands[1]),
        filters(binding.results[0]),
        pitch(geometry.x, geometry.channels * geometry.groups) {
    const FilterGeometry& g = geometry;
    for (int axis = 0; axis < kAxes; ++axis) reach[axis] = (g.kernel[axis] - 1) * g.dilation[axis];
    padded = g.taps() > 1 && g.channels * int64_t{sizeof(T)} % kFarPixel == 0;
    joined = g.kernel[2] == 1 || (g.dilation[2] == 1 && !padded);
    m = g.channels * (joined ? g.kernel[2] : 1);
    products = g.taps() / (joined ? g.kernel[2] : 1);
    tile = choose_tile<T>(m, g.outputs);
    panels = Panels<T>(g.outputs, tile.vectors);
    const int64_t columns = tile.vectors * kLanes<T>;
    parts = Parts::of_at_most(panels.count(), std::max<int64_t>(kPartColumns / columns, 1));
    cut();
  }

  PerAxis box_size(const PerAxis& count) const {
    PerAxis size;
    for (int axis = 0; axis < kAxes; ++axis) {
      size[axis] = geometry.stride[axis] * (count[axis] - 1) + reach[axis] + 1;
    }
    return size;
  }
  int64_t box_elements(const PerAxis& count) const {
    return volume(box_size(count)) * geometry.channels;
  }
  int64_t copied_pixel() const {
    return geometry.channels + (padded ? kAlignment / int64_t{sizeof(T)} : 0);
  }
  int64_t chunks(int64_t rows) const {
    return (geometry.images(rows) + images - 1) / images * blocks[0].count * blocks[1].count *
           blocks[2].count;
  }
  int64_t slices(int64_t rows) const {
    const double flops = 2.0 * static_cast<double>(geometry.images(rows) * volume(geometry.y)) *
                         static_cast<double>(m * products * geometry.outputs);
    const int64_t tiles = parts.count * geometry.groups;
    const auto worth =
        static_cast<int64_t>(flops * static_cast<double>(geometry.groups) / kTaskFlops);
    return std::clamp<int64_t>(slices_of(tiles, worth), 1, std::max<int64_t>(chunks(rows), 1));
  }
  int64_t count() const { return geometry.taps() * geometry.channels * filters.row(); }

 private:
  // Whole images, planes, rows or a part of one: as many as a chain of fma and L2 hold.
  void cut() {
    const PerAxis& size = geometry.y;
    const auto fits = [&](const PerAxis& count, int64_t several) {
      return several * volume(count) <= kFoldK &&
             several * box_elements(count) * int64_t{sizeof(T)} <= kBoxBytes;
    };
    PerAxis count = {1, 1, 1};
    for (int axis = kAxes - 1; axis >= 0; --axis) {
      while (count[axis] < size[axis]) {
        ++count[axis];
        if (fits(count, 1)) continue;
        --count[axis];
        break;
      }
      if (count[axis] < size[axis]) break;  // positions follow each other in memory
    }
    for (int axis = 0; axis < kAxes; ++axis)
      blocks[axis] = Parts::of_at_most(size[axis], count[axis]);
    while (count == size && volume(size) > 0 && fits(count, images + 1)) ++images;
  }
};

template <class T>
class FilterGrad final : public Launch {
 public:
  FilterGrad(const Binding& binding, std::shared_ptr<const Sums<T>> sums) : sums_(std::move(sums)) {
    if (!binding.workspace.empty()) partial_ = binding.workspace[0];
    const Sums<T>& s = *sums_;
    PerAxis most;
    for (int axis = 0; axis < kAxes; ++axis) most[axis] = s.blocks[axis].largest();
    box_ = Pitch(s.box_size(most), s.copied_pixel());
    box_image_ = volume(s.box_size(most)) * s.copied_pixel();
    segments_most_ = s.images * most[0] * most[1];
    positions_ = s.images * volume(most);
  }

  int64_t tasks(int64_t rows) const override {
    return sums_->slices(rows) * sums_->geometry.groups * sums_->parts.count;
  }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    const Sums<T>& s = *sums_;
    const FilterGeometry& g = s.geometry;
    const int64_t part = task % s.parts.count, group = task / s.parts.count % g.groups;
    const int64_t slice = task / s.parts.count / g.groups, slices = s.slices(context.rows);
    const int64_t chunks = s.chunks(context.rows);
    const int64_t first = chunks * slice / slices, last = chunks * (slice + 1) / slices;
    T* c = (slices > 1 ? *partial_ : s.filters).template in<T>(context) + slice * s.count() +
           group * g.outputs;
    if (first == last) return zero(c, part);
    for (int64_t chunk = first; chunk < last; ++chunk) {
      add(context, chunk, part, group, chunk > first, c, local);
    }
  }

  Cost cost(int64_t rows) const override {
    const FilterGeometry& g = sums_->geometry;
    const double images = static_cast<double>(g.images(rows) * g.groups);
    const double read = static_cast<double>(volume(g.x) * g.channels + volume(g.y) * g.outputs);
    const double products =
        static_cast<double>(volume(g.y)) * static_cast<double>(g.taps() * g.channels * g.outputs);
    return {2 * images * products, sizeof(T) * images * read};
  }

  int64_t local_bytes() const override { return panel_offset() + panel_bytes(); }

 private:
  static int64_t rounded(int64_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment + kAlignment;
  }
  int64_t segments_offset() const {
    return rounded(sums_->images * box_image_ * int64_t{sizeof(T)});
  }
  int64_t panel_offset() const {
    return segments_offset() + rounded(segments_most_ * int64_t{sizeof(int64_t)});
  }
  int64_t panel_bytes() const { return rounded(positions_ * sums_->tile.vectors * kVectorBytes); }

  // No image, no gradient.
  void zero(T* c, int64_t part) const {
    const Sums<T>& s = *sums_;
    for (int64_t panel = s.parts.begin(part); panel < s.parts.end(part); ++panel) {
      const int64_t j = s.panels.begin(panel) * kLanes<T>;
      const int64_t columns = std::min(s.panels.vectors(panel) * kLanes<T>, s.geometry.outputs - j);
      for (int64_t row = 0; row < s.m * s.products; ++row) {
        std::fill_n(c + row * s.filters.row() + j, columns, T{0});
      }
    }
  }

  // Adds a chunk's products to those of the chunks before it.
  void add(const Context& context, int64_t chunk, int64_t part, int64_t group, bool accumulate,
           T* c, std::byte* local) const noexcept {
    const Sums<T>& s = *sums_;
    const FilterGeometry& g = s.geometry;
    PerAxis begin, count;
    int64_t rest = chunk;
    for (int axis = kAxes - 1; axis >= 0; --axis) {
      const Parts& blocks = s.blocks[axis];
      begin[axis] = blocks.begin(rest % blocks.count);
      count[axis] = blocks.end(rest % blocks.count) - begin[axis];
      rest /= blocks.count;
    }
    const int64_t image = rest * s.images;
    const int64_t images = std::min(s.images, g.images(context.rows) - image);

    Box box;
    for (int axis = 0; axis < kAxes; ++axis) {
      box.origin[axis] = g.stride[axis] * begin[axis] - g.before[axis];
    }
    box.size = s.box_size(count);
    const bool there = g.groups == 1 && !s.padded && box.inside(g.x);
    const Pitch& pitch = there ? s.pitch : box_;
    const int64_t x_image = g.x[0] * s.pitch.depth, apart = there ? x_image : box_image_;
    const T* x = s.x.template in<T>(context) + image * x_image + group * g.channels;
    T* copy = reinterpret_cast<T*>(local);
    if (there) {
      x += s.pitch.at(box.origin[0], box.origin[1], box.origin[2]);
    } else {
      for (int64_t i = 0; i < images; ++i) {
        copy_box(x + i * x_image, g.x, s.pitch, g.channels, box, copy + i * apart, box_);
      }
      x = copy;
    }
    auto* segments = reinterpret_cast<int64_t*>(local + segments_offset());
    int64_t segment = 0;
    for (int64_t i = 0; i < images; ++i) {
      for (int64_t d = 0; d < count[0]; ++d) {
        for (int64_t h = 0; h < count[1]; ++h) {
          segments[segment++] = i * apart + pitch.at(d * g.stride[0], h * g.stride[1], 0);
        }
      }
    }

    const int64_t dy_row = s.dy.row();
    const T* dy =
        s.dy.template in<T>(context) + group * g.outputs +
        (image * volume(g.y) + (begin[0] * g.y[1] + begin[1]) * g.y[2] + begin[2]) * dy_row;
    const MicroTables<T>& tables = micro_tables<T>();
    const Parts strips = Parts::of_at_most(s.m, s.tile.rows);
    const int64_t positions = images * volume(count);
    const bool pack = strips.count * s.products >= 8;
    MicroCall<T> call;
    call.k = count[2];
    call.segments = segment;
    call.segment = segments;
    call.a_row = 1;
    call.a_k = g.stride[2] * pitch.pixel;
    call.c_row = s.filters.row();
    call.accumulate = accumulate;
    call.finish = nullptr;
    for (int64_t panel = s.parts.begin(part); panel < s.parts.end(part); ++panel) {
      const int64_t vectors = s.panels.vectors(panel), j = s.panels.begin(panel) * kLanes<T>;
      const int64_t columns = std::min(vectors * kLanes<T>, g.outputs - j);
      call.last_columns = columns - (vectors - 1) * kLanes<T>;
      call.b = dy + j;
      call.b_k = dy_row;
      if (pack && dy_row != vectors * kLanes<T>) {
        T* to = reinterpret_cast<T*>(local + panel_offset());
        copy_block(call.b, dy_row, positions, columns, to, vectors * kLanes<T>);
        call.b = to;
        call.b_k = vectors * kLanes<T>;
      }
      for (int64_t product = 0; product < s.products; ++product) {
        const T* a = x + tap_offset(product, pitch);
        for (int64_t strip = 0; strip < strips.count; ++strip) {
          const int64_t row = strips.begin(strip), rows = strips.end(strip) - row;
          call.a = a + row;
          call.c = c + (product * s.m + row) * call.c_row + j;
          const auto of_rows = static_cast<size_t>(rows - 1);
          const MicroKernel<T> kernel =
              s.panels.half(panel) ? tables.half[of_rows]
                                   : tables.full[of_rows][static_cast<size_t>(vectors - 1)];
          kernel(call);
        }
      }
    }
  }

  // Where the taps of a product read, from where the first does.
  int64_t tap_offset(int64_t product, const Pitch& pitch) const {
    const FilterGeometry& g = sums_->geometry;
    const int64_t along = sums_->joined ? 1 : g.kernel[2];
    const int64_t w = product % along, h = product / along % g.kernel[1];
    const int64_t d = product / along / g.kernel[1];
    return pitch.at(d * g.dilation[0], h * g.dilation[1], w * g.dilation[2]);
  }

  std::shared_ptr<const Sums<T>> sums_;
  std::optional<Buffer> partial_;  // [slices, filters]
  Pitch box_;
  int64_t box_image_ = 0, segments_most_ = 0, positions_ = 0;
};

template <class T>
Prepared prepare(const Binding& binding) {
  const auto sums = std::make_shared<const Sums<T>>(binding);
  Prepared prepared(std::make_unique<FilterGrad<T>>(binding, sums));
  if (!binding.workspace.empty()) {
    prepared.launches.push_back(std::make_unique<AddFilterSlices<T, Sums<T>>>(binding, sums));
  }
  return prepared;
}

bool goes_by_channels(const Binding& binding) {
  return is_depthwise({binding, binding.operands[0], binding.results[0].dims, binding.operands[1]});
}

Prepared prepare_filter_grad(const Binding& binding) {
  if (goes_by_channels(binding)) return prepare_depthwise_filter_grad(binding);
  if (sums_tiles(binding)) return prepare_tile_sums(binding);
  if (sums_rounds(binding)) return prepare_round_sums(binding);
  return binding.operands[0].dtype == DType::f32 ? prepare<float>(binding)
                                                 : prepare<double>(binding);
}

template <class T>
std::vector<int64_t> workspace(const Binding& binding) {
  const Sums<T> sums(binding);
  const int64_t slices = sums.slices(capacity_of(binding));
  if (slices == 1) return {};
  return {slices * sums.count() * int64_t{sizeof(T)}};
}

std::vector<int64_t> filter_grad_workspace(const Binding& binding) {
  if (goes_by_channels(binding)) return depthwise_filter_grad_workspace(binding);
  if (sums_tiles(binding)) return tile_sums_workspace(binding);
  if (sums_rounds(binding)) return round_sums_workspace(binding);
  return binding.operands[0].dtype == DType::f32 ? workspace<float>(binding)
                                                 : workspace<double>(binding);
}

}  // namespace

SLIM_KERNEL(convolution_filter_grad, prepare_filter_grad, filter_grad_workspace);

}  // namespace slim::SLIM_ISA_NAMESPACE
