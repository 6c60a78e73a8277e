// The gradient of 3×3 filters by minimal filtering F(3×3, 4×4): of each 4×4 tile of the result's
// gradient and the 6×6 positions that it came from, both transformed, the products of all pairs of
// channels are summed frequency by frequency over all tiles, and transformed back once.
#include <algorithm>
#include <memory>

#include "cpu/conv/winograd.h"
#include "cpu/conv/winograd_sums.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

constexpr int64_t kSumBytes = 640 * 1024;    // of a task, which streams them for each chunk
constexpr int64_t kChunkBytes = 480 * 1024;  // of transformed tiles
constexpr int64_t kLeastTiles = 16, kUsualTiles = 48;  // of a chunk: a chain of fma
constexpr int64_t kMostChannels = 128;  // more, and a task's sums are of too few columns
constexpr double kSumTime = 15.0 / 8;   // ns an image for zeros, slices and the transform back

// How the sum over tiles is cut: into chunks, each a chain of fma, and slices of chunks, added
// in the end. A function of the shape.
struct TileSums {
  FilterGeometry geometry;
  Buffer x, dy, filters;
  TileGrid grid;  // of an image
  MicroTile tile;
  Panels<float> panels{1, 1};
  Parts parts;    // of panels
  int64_t chunk;  // tiles

  explicit TileSums(const Binding& binding)
      : geometry(binding, binding.operands[0], binding.results[0].dims, binding.operands[1]),
        x(binding.operands[0]),
        dy(binding.operands[1]),
        filters(binding.results[0]),
        grid{TileAxis(geometry.y[1]), TileAxis(geometry.y[2])},
        tile(choose_tile<float>(geometry.channels, geometry.outputs)),
        panels(geometry.outputs, tile.vectors) {
    const int64_t panel_bytes = kFrequencies * geometry.channels * tile.vectors * kVectorBytes;
    parts = Parts::of_at_most(panels.count(), std::max<int64_t>(kSumBytes / panel_bytes, 1));
    const int64_t tile_bytes = kFrequencies * (geometry.channels + width()) * 4;
    chunk = std::clamp(kChunkBytes / std::max<int64_t>(tile_bytes, 1), kLeastTiles, kUsualTiles);
  }

  int64_t width() const {  // columns of a part
    return std::min(parts.largest() * tile.vectors * kStep, geometry.outputs);
  }
  bool pays() const {
    if (!suits_tiles(geometry) || geometry.channels > kMostChannels) return false;
    const double time = kSumTime + tiles_time(grid, geometry.channels, width());
    return kDirect * static_cast<double>(geometry.y[1] * geometry.y[2]) > kGain * time;
  }
  int64_t frame() const { return geometry.channels * geometry.outputs + kPad; }
  int64_t count() const { return kFrequencies * frame(); }  // of a slice
  int64_t tiles(int64_t rows) const { return geometry.images(rows) * grid.count(); }
  Parts chunks(int64_t rows) const { return Parts::of_at_most(tiles(rows), chunk); }
  double flops(int64_t rows) const {
    return 2.0 * static_cast<double>(geometry.images(rows)) * grid.products() *
           static_cast<double>(geometry.channels * geometry.outputs);
  }
  int64_t slices(int64_t rows) const {
    const auto worth = static_cast<int64_t>(flops(rows) / kTaskFlops);
    return std::min(slices_of(parts.count, worth), chunks(rows).count);
  }
};

class SumTiles final : public Launch {
 public:
  SumTiles(std::shared_ptr<const TileSums> sums, const Buffer& to)
      : sums_(std::move(sums)), to_(to) {
    const FilterGeometry& g = sums_->geometry;
    x_ = Pitch(g.x, g.channels);
    dy_ = Pitch(g.y, g.outputs);
  }

  int64_t tasks(int64_t rows) const override { return sums_->slices(rows) * sums_->parts.count; }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    const TileSums& s = *sums_;
    const int64_t part = task % s.parts.count, slice = task / s.parts.count;
    const int64_t slices = s.slices(context.rows);
    const Parts chunks = s.chunks(context.rows);
    const int64_t first = chunks.count * slice / slices;
    const int64_t last = chunks.count * (slice + 1) / slices;
    for (int64_t chunk = first; chunk < last; ++chunk) {
      const int64_t tile = chunks.begin(chunk), count = chunks.end(chunk) - tile;
      const TileOrder<kUsualTiles> order(s.grid, tile, count);
      for (int64_t i = 0; i < count; ++i) transform(context, tile + i, order.slot(i), part, local);
      multiply(context, slice, part, order, chunk > first, local);
    }
  }

  Cost cost(int64_t rows) const override {
    const FilterGeometry& g = sums_->geometry;
    const double images = static_cast<double>(g.images(rows));
    const double read = static_cast<double>(volume(g.x) * g.channels + volume(g.y) * g.outputs);
    return {sums_->flops(rows), sizeof(float) * images * read};
  }

  int64_t local_bytes() const override {
    return grad_offset() + kFrequencies * grad_frame() * 4 + kAlignment;
  }

 private:
  // In `local`: the transforms of tiles of the source, and of its result's gradient.
  int64_t source_frame() const { return sums_->chunk * sums_->geometry.channels + kPad; }
  int64_t grad_frame() const { return sums_->chunk * sums_->width() + kPad; }
  int64_t grad_offset() const { return kFrequencies * source_frame() * 4 + kAlignment; }

  int64_t first_column(int64_t part) const {
    return sums_->panels.begin(sums_->parts.begin(part)) * kStep;
  }
  int64_t columns(int64_t part) const {
    const int64_t end = sums_->parts.end(part);
    return (end < sums_->panels.count() ? sums_->panels.begin(end) * kStep
                                        : sums_->geometry.outputs) -
           first_column(part);
  }

  void transform(const Context& context, int64_t tile, int64_t i, int64_t part,
                 std::byte* local) const {
    const TileSums& s = *sums_;
    const FilterGeometry& g = s.geometry;
    const auto [image, h, w, kind] = s.grid.place_of(tile);
    const float* source[kIn * kIn];
    positions_of<kIn>(s.x.in<float>(context) + image * x_.depth, g.x, x_, h - g.before[1],
                      w - g.before[2], source);
    transform_tile<SourceTransform>(
        kind, source, g.channels, reinterpret_cast<float*>(local) + i * g.channels, source_frame());
    const float* grad[kOut * kOut];
    positions_of<kOut>(s.dy.in<float>(context) + image * dy_.depth + first_column(part), g.y, dy_,
                       h, w, grad);
    transform_tile<GradTransform>(
        kind, grad, columns(part),
        reinterpret_cast<float*>(local + grad_offset()) + i * columns(part), grad_frame());
  }

  void multiply(const Context& context, int64_t slice, int64_t part,
                const TileOrder<kUsualTiles>& order, bool accumulate, std::byte* local) const {
    const TileSums& s = *sums_;
    const FilterGeometry& g = s.geometry;
    const MicroTables<float>& tables = micro_tables<float>();
    const Parts strips = Parts::of_at_most(g.channels, s.tile.rows);
    float* sums = to_.in<float>(context) + slice * s.count();
    MicroCall<float> call;
    call.a_row = 1;
    call.a_k = g.channels;
    call.b_k = columns(part);
    call.c_row = g.outputs;
    call.accumulate = accumulate;
    call.last_columns = kStep;
    call.finish = nullptr;
    for (int f = 0; f < kFrequencies; ++f) {
      const Range tiles = order.having(f);
      if (tiles.length() == 0 && accumulate) continue;
      call.k = tiles.length();
      const float* a =
          reinterpret_cast<float*>(local) + f * source_frame() + tiles.first * g.channels;
      const float* b = reinterpret_cast<float*>(local + grad_offset()) + f * grad_frame() +
                       tiles.first * columns(part);
      for (int64_t panel = s.parts.begin(part); panel < s.parts.end(part); ++panel) {
        const int64_t j = s.panels.begin(panel) * kStep;
        const auto vectors = static_cast<size_t>(s.panels.vectors(panel));
        call.b = b + j - first_column(part);
        for (int64_t strip = 0; strip < strips.count; ++strip) {
          const int64_t row = strips.begin(strip), rows = strips.end(strip) - row;
          call.a = a + row;
          call.c = sums + f * s.frame() + row * g.outputs + j;
          tables.full[static_cast<size_t>(rows - 1)][vectors - 1](call);
        }
      }
    }
  }

  std::shared_ptr<const TileSums> sums_;
  Buffer to_;  // [slices, frequencies, channels, outputs]
  Pitch x_, dy_;
};

}  // namespace

bool sums_tiles(const Binding& binding) {
  return binding.operands[0].dtype == DType::f32 && TileSums(binding).pays();
}

Prepared prepare_tile_sums(const Binding& binding) {
  const auto sums = std::make_shared<const TileSums>(binding);
  Prepared prepared(std::make_unique<SumTiles>(sums, binding.workspace[0]));
  prepared.launches.push_back(
      std::make_unique<FinishFilters<TileSums>>(sums, binding.workspace[0]));
  return prepared;
}

std::vector<int64_t> tile_sums_workspace(const Binding& binding) {
  const TileSums sums(binding);
  const int64_t slices = std::max<int64_t>(sums.slices(capacity_of(binding)), 1);
  return {slices * sums.count() * int64_t{sizeof(float)}};
}

}  // namespace slim::SLIM_ISA_NAMESPACE
