// Convolutions of 3×3 windows, forward and backward, by minimal filtering F(4×4, 3×3): what 4×4
// results read, 6×6 positions, and the filters are transformed, multiplied frequency by
// frequency as products over the channels, and transformed back.
//   Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015.
#include "cpu/conv/winograd.h"

#include <algorithm>
#include <memory>
#include <string>

#include "cpu/conv/pooled_end.h"
#include "cpu/conv/winograd_tile.h"
#include "cpu/gemm/pack.h"
#include "cpu/gemm/product_end.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

// Of the filters' transform, in ns for a pair of channel and column: more where the caches
// hold less of it.
constexpr double kFilter = 9, kMoreFilters = 1e-4;
constexpr double kTrainedImages = 8, kPredictedImages = 2;  // share it: predict may have one
constexpr int64_t kMostTiles = 24;  // of a task: read out of L2 beside their products
constexpr int64_t kFewTiles = 12;   // of a task, where there are few
constexpr int64_t kBlock = 16;      // channels of a task of the filters' transform

// Whether a batch is there to train: then it is no single image.
bool trains(const Graph& graph) {
  return std::any_of(graph.nodes.rbegin(), graph.nodes.rend(),
                     [](const Node& node) { return node.op == "convolution_filter_grad"; });
}

struct Shape {
  FilterGeometry geometry;
  bool trained;
  bool backward;
  Buffer from, filters, to;
  PerAxis source, result;
  int64_t channels, columns;
  PerAxis first;  // where the first tap of the first result reads
  TileGrid grid;  // of an image
  MicroTile tile;
  Panels<float> panels{1, 1};

  Shape(const Binding& binding, bool backward)
      : Shape(binding, backward, backward ? binding.operands[0] : binding.results[0]) {}
  // `y`: what the convolution gives, or that of which this is the gradient.
  Shape(const Binding& binding, bool backward, const Buffer& y)
      : geometry(binding, backward ? binding.results[0] : binding.operands[0],
                 binding.operands[1].dims, y),
        trained(trains(binding.graph)),
        backward(backward),
        from(binding.operands[0]),
        filters(binding.operands[1]),
        to(binding.results[0]),
        source(backward ? geometry.y : geometry.x),
        result(backward ? geometry.x : geometry.y),
        channels(backward ? geometry.outputs : geometry.channels),
        columns(backward ? geometry.channels : geometry.outputs),
        grid{TileAxis(result[1]), TileAxis(result[2])},
        tile(choose_tile<float>(kMostTiles, columns)),
        panels(columns, tile.vectors) {
    for (int axis = 0; axis < kAxes; ++axis) {
      const int64_t before = geometry.before[axis];
      first[axis] = backward ? before - (geometry.kernel[axis] - 1) : -before;
    }
  }

  bool pays() const {
    if (!suits_tiles(geometry)) return false;
    const auto k = static_cast<double>(channels), n = static_cast<double>(columns);
    const double filters =
        (kFilter + kMoreFilters * k * n) / (trained ? kTrainedImages : kPredictedImages);
    const double time = filters + tiles_time(grid, channels, columns);
    return kDirect * static_cast<double>(result[1] * result[2]) > kGain * time;
  }
  int64_t tiles(int64_t rows) const { return geometry.images(rows) * grid.count(); }
  int64_t frame() const { return channels * columns + kPad; }  // of the filters
};

template <class V>
SLIM_INLINE void filter_transform(const V* g, int64_t step, V* to, int64_t to_step) {
  const V g0 = g[0], g1 = g[step], g2 = g[2 * step];
  const V even = (g0 + g2) * -(1.0f / 6), odd = g1 * (1.0f / 6);
  const V low = fma(g0, broadcast<V>(1.0f / 24), g2 * (1.0f / 6)), middle = g1 * (1.0f / 12);
  to[0] = g0 * 0.25f;
  to[to_step] = even - odd;
  to[2 * to_step] = even + odd;
  to[3 * to_step] = low + middle;
  to[4 * to_step] = low - middle;
  to[5 * to_step] = g2;
}

template <class V>
SLIM_INLINE void result_transform(const V* m, V* to, int64_t step) {
  const V near = m[1] + m[2], apart = m[1] - m[2];
  const V far = m[3] + m[4], wide = m[3] - m[4];
  to[0] = m[0] + near + far;
  to[step] = fma(wide, broadcast<V>(2.0f), apart);
  to[2 * step] = fma(far, broadcast<V>(4.0f), near);
  to[3 * step] = fma(wide, broadcast<V>(8.0f), apart) + m[5];
}

template <class V>
SLIM_INLINE void short_result_transform(const V* m, V* to, int64_t step) {
  to[0] = m[0] + (m[1] + m[2]);
  to[step] = (m[1] - m[2]) + m[5];
}

// Of the filters, [frequency][panel][channel][column of the panel].
class TransformFilters final : public Launch {
 public:
  TransformFilters(std::shared_ptr<const Shape> shape, const Buffer& to)
      : shape_(std::move(shape)), to_(to), blocks_(Parts::of_at_most(shape_->channels, kBlock)) {}

  int64_t tasks(int64_t) const override { return shape_->panels.count() * blocks_.count; }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    const Shape& s = *shape_;
    const int64_t panel = task / blocks_.count, block = task % blocks_.count;
    const int64_t j = s.panels.begin(panel) * kStep, width = s.panels.vectors(panel) * kStep;
    const int64_t first = blocks_.begin(block), count = blocks_.end(block) - first;
    const int64_t row = s.filters.row(), tap_size = s.geometry.channels * row;
    const float* from =
        s.filters.in<float>(context) + (s.backward ? j * row + first : first * row + j);
    int64_t from_row = row, from_tap = tap_size;
    if (s.backward) {  // the other way round, and channels for columns
      auto* turned = reinterpret_cast<float*>(local);
      for (int64_t tap = 0; tap < kTaps * kTaps; ++tap) {
        transpose_block(from + (kTaps * kTaps - 1 - tap) * tap_size, row, width, count,
                        turned + tap * count * width, width);
      }
      from = turned;
      from_row = width;
      from_tap = count * width;
    }
    float* to = to_.in<float>(context) + j * s.channels + first * width;
    for (int64_t k = 0; k < count; ++k) {
      for (int64_t v = 0; v < width; v += kStep) {
        F32 g[kTaps * kTaps], half[kIn * kTaps], u[kFrequencies];
        for (int tap = 0; tap < kTaps * kTaps; ++tap) {
          g[tap] = load(from + tap * from_tap + k * from_row + v);
        }
        for (int i = 0; i < kTaps; ++i) filter_transform(g + i, kTaps, half + i, kTaps);
        for (int i = 0; i < kIn; ++i) filter_transform(half + i * kTaps, 1, u + i * kIn, 1);
        for (int f = 0; f < kFrequencies; ++f) store(to + f * s.frame() + k * width + v, u[f]);
      }
    }
  }

  Cost cost(int64_t) const override {
    const double filters = static_cast<double>(shape_->channels * shape_->columns);
    return {0, filters * (kTaps * kTaps + kFrequencies) * sizeof(float)};
  }

  int64_t local_bytes() const override {
    return kTaps * kTaps * kBlock * kMostVectors * kVectorBytes + kAlignment;
  }

 private:
  std::shared_ptr<const Shape> shape_;
  Buffer to_;
  Parts blocks_;
};

class Winograd : public Launch {
 public:
  Winograd(const Binding& binding, std::shared_ptr<const Shape> shape)
      : shape_(std::move(shape)), filters_(packed_filters(binding)), end_(binding) {
    const Shape& s = *shape_;
    from_ = Pitch(s.source, s.from.row());
  }

  int64_t tasks(int64_t rows) const override { return parts(rows).count; }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    const Parts parts = this->parts(context.rows);
    const int64_t first = parts.begin(task), count = parts.end(task) - first;
    const TileOrder<kMostTiles> order(shape_->grid, first, count);
    for (int64_t i = 0; i < count; ++i) read_tile(context, first + i, order.slot(i), local);
    multiply(context, order, local);
    for (int64_t i = 0; i < count; ++i) write_tile(context, first + i, order.slot(i), local);
  }

  Cost cost(int64_t rows) const override {
    const Shape& s = *shape_;
    const double images = static_cast<double>(s.geometry.images(rows));
    const double positions = static_cast<double>(s.grid.count() * kOut * kOut);
    const double channels = static_cast<double>(s.channels),
                 columns = static_cast<double>(s.columns);
    return {2 * images * s.grid.products() * channels * columns,
            images * positions * (channels + columns) * sizeof(float)};
  }

  int64_t local_bytes() const override {
    return end_offset() + (end_.has_tape() ? kOut * kOut * shape_->columns * 4 + kAlignment : 0) +
           end_.local_bytes();
  }

 protected:
  // What a tile's products by frequency, in `local`, give.
  virtual void write_tile(const Context& context, int64_t tile, int64_t i, std::byte* local) const {
    of_kind(shape_->grid.place_of(tile).kind, [&](auto few_down, auto few_across) {
      write<few_down.value, few_across.value>(context, tile, i, local);
    });
  }

  // The products of a column and those behind it, transformed back along the tiles' columns.
  template <bool few_down, bool few_across>
  SLIM_INLINE void transform_down(const std::byte* local, int64_t i, int64_t j, F32* half) const {
    const float* from =
        reinterpret_cast<const float*>(local + product_offset()) + i * shape_->columns + j;
#pragma GCC unroll 6
    for (int x = 0; x < kIn; ++x) {
      if (few_across && only_whole(x)) continue;
      F32 m[kIn];
#pragma GCC unroll 6
      for (int y = 0; y < kIn; ++y) {
        if (few_down && only_whole(y)) continue;
        m[y] = load(from + (y * kIn + x) * product_frame());
      }
      if constexpr (few_down) {
        short_result_transform(m, half + x, kIn);
      } else {
        result_transform(m, half + x, kIn);
      }
    }
  }
  // … and a row of them along the other axis.
  template <bool few_across>
  SLIM_INLINE static void transform_across(const F32* half, F32* to) {
    if constexpr (few_across) {
      short_result_transform(half, to, 1);
    } else {
      result_transform(half, to, 1);
    }
  }

  std::shared_ptr<const Shape> shape_;

 private:
  Parts parts(int64_t rows) const {
    const int64_t tiles = shape_->tiles(rows);
    const auto tasks = [&](int64_t most) { return (tiles + most - 1) / most; };
    const int64_t count = std::max(tasks(kMostTiles), std::min(tasks(kFewTiles), kFewTasks));
    if (count >= kMostTasks || count % 2 == 0 || count == 1) return {tiles, count};
    // Two lanes take as many each.
    return {tiles, tasks(kMostTiles) < count ? count - 1 : count + 1};
  }

  // In `local`: the tiles' transforms and their products by frequency, and a tile for the tape.
  int64_t source_frame() const { return kMostTiles * shape_->channels + kPad; }
  int64_t product_frame() const { return kMostTiles * shape_->columns + kPad; }
  int64_t product_offset() const { return kFrequencies * source_frame() * 4 + kAlignment; }
  int64_t end_offset() const {
    return product_offset() + kFrequencies * product_frame() * 4 + kAlignment;
  }

  void read_tile(const Context& context, int64_t tile, int64_t i, std::byte* local) const {
    const Shape& s = *shape_;
    const auto [image, h, w, kind] = s.grid.place_of(tile);
    const float* from = s.from.in<float>(context) + image * s.source[0] * from_.depth;
    const float* at[kFrequencies];
    positions_of<kIn>(from, s.source, from_, s.first[1] + h, s.first[2] + w, at);
    transform_tile<SourceTransform>(
        kind, at, s.channels, reinterpret_cast<float*>(local) + i * s.channels, source_frame());
  }

  void multiply(const Context& context, const TileOrder<kMostTiles>& order,
                std::byte* local) const {
    const Shape& s = *shape_;
    const MicroTables<float>& tables = micro_tables<float>();
    MicroCall<float> call;
    call.k = s.channels;
    call.a_row = s.channels;
    call.a_k = 1;
    call.c_row = s.columns;
    call.accumulate = false;
    call.last_columns = kStep;
    call.finish = nullptr;
    for (int f = 0; f < kFrequencies; ++f) {
      const Range tiles = order.having(f);
      if (tiles.length() == 0) continue;
      const Parts strips = Parts::of_at_most(tiles.length(), s.tile.rows);
      const float* a =
          reinterpret_cast<float*>(local) + f * source_frame() + tiles.first * s.channels;
      const float* b = filters_.in<float>(context) + f * s.frame();
      float* c = reinterpret_cast<float*>(local + product_offset()) + f * product_frame() +
                 tiles.first * s.columns;
      for (int64_t panel = 0; panel < s.panels.count(); ++panel) {
        const int64_t j = s.panels.begin(panel) * kStep, vectors = s.panels.vectors(panel);
        call.b = b + j * s.channels;
        call.b_k = vectors * kStep;
        for (int64_t strip = 0; strip < strips.count; ++strip) {
          const int64_t row = strips.begin(strip), rows = strips.end(strip) - row;
          call.a = a + row * s.channels;
          call.c = c + row * s.columns + j;
          tables.full[static_cast<size_t>(rows - 1)][static_cast<size_t>(vectors - 1)](call);
        }
      }
    }
  }

  template <bool few_down, bool few_across>
  void write(const Context& context, int64_t tile, int64_t i, std::byte* local) const {
    constexpr int kDown = few_down ? TileAxis::kFew : kOut;
    constexpr int kAcross = few_across ? TileAxis::kFew : kOut;
    const Shape& s = *shape_;
    const auto [image, h, w, kind] = s.grid.place_of(tile);
    const int64_t rows = std::min<int64_t>(s.result[1] - h, kDown);
    const int64_t columns = std::min<int64_t>(s.result[2] - w, kAcross);
    const auto row_of = [&, image = image, h = h, w = w](int64_t y) {
      return (image * s.result[1] + h + y) * s.result[2] + w;
    };
    const bool tape = end_.has_tape();
    auto* kept = reinterpret_cast<float*>(local + end_offset());
    float* to = s.to.in<float>(context);
    const Finish<float> finish = end_.finish(context, 0, 0);
    for (int64_t j = 0; j < s.columns; j += kStep) {
      F32 half[kDown * kIn];
      transform_down<few_down, few_across>(local, i, j, half);
      for (int64_t k = 0; k < rows; ++k) {
        F32 sum[kAcross][1];
        transform_across<few_across>(half + k * kIn, sum[0]);
        float* row = tape ? kept + k * kOut * s.columns + j : to + row_of(k) * s.to.row() + j;
        const int64_t step = tape ? s.columns : s.to.row();
        if (columns == kAcross) {
          if (!tape) finish_sums(sum, finish, row_of(k), j);
#pragma GCC unroll 4
          for (int x = 0; x < kAcross; ++x) store(row + x * step, sum[x][0]);
          continue;
        }
        for (int64_t x = 0; x < columns; ++x) {
          F32 one[1][1] = {{sum[x][0]}};
          if (!tape) finish_sums(one, finish, row_of(k) + x, j);
          store(row + x * step, one[0][0]);
        }
      }
    }
    if (!tape) return;
    for (int64_t k = 0; k < rows; ++k) {
      end_.run_tape(context, {row_of(k), row_of(k) + columns, 0, s.columns},
                    kept + k * kOut * s.columns, s.columns,
                    local + end_offset() + kOut * kOut * s.columns * 4 + kAlignment);
    }
  }

  Buffer filters_;
  ProductEnd<float> end_;
  Pitch from_;
};

// Of each 2×2 results the largest: a tile has whole windows.
class PooledWinograd final : public Winograd {
 public:
  PooledWinograd(const Binding& binding, std::shared_ptr<const Shape> shape)
      : Winograd(binding, std::move(shape)),
        end_(binding),
        rows_(binding.results[0].dims[1]),
        columns_(binding.results[0].dims[2]) {}

 private:
  void write_tile(const Context& context, int64_t tile, int64_t i,
                  std::byte* local) const override {
    of_kind(shape_->grid.place_of(tile).kind, [&](auto few_down, auto few_across) {
      write<few_down.value, few_across.value>(context, tile, i, local);
    });
  }

  template <bool few_down, bool few_across>
  void write(const Context& context, int64_t tile, int64_t i, std::byte* local) const {
    constexpr int kDown = few_down ? TileAxis::kFew : kOut;
    constexpr int kAcross = few_across ? TileAxis::kFew : kOut;
    const Shape& s = *shape_;
    const auto [image, h, w, kind] = s.grid.place_of(tile);
    const int64_t rows = std::min<int64_t>(rows_ - h / 2, kDown / 2);
    const int64_t columns = std::min<int64_t>(columns_ - w / 2, kAcross / 2);
    for (int64_t j = 0; j < s.columns; j += kStep) {
      F32 half[kDown * kIn];
      transform_down<few_down, few_across>(local, i, j, half);
      for (int64_t y = 0; y < rows; ++y) {
        F32 sum[2][kAcross];
        transform_across<few_across>(half + 2 * y * kIn, sum[0]);
        transform_across<few_across>(half + (2 * y + 1) * kIn, sum[1]);
        for (int64_t x = 0; x < columns; ++x) {
          F32 window[4][1] = {
              {sum[0][2 * x]}, {sum[0][2 * x + 1]}, {sum[1][2 * x]}, {sum[1][2 * x + 1]}};
          const int64_t to = (image * rows_ + h / 2 + y) * columns_ + w / 2 + x;
          end_.store(context, window, j, to * s.columns + j);
        }
      }
    }
  }

  PooledEnd end_;
  int64_t rows_, columns_;  // of windows
};

PooledGeometry pooled_of(const Binding& binding) {
  return {binding, binding.operands[0], binding.operands[1].dims, binding.results[0]};
}

template <class Kind>
Prepared prepare(const Binding& binding, const std::shared_ptr<const Shape>& shape) {
  Prepared prepared(std::make_unique<Kind>(binding, shape));
  prepared.add_packing(binding, std::make_unique<TransformFilters>(shape, packed_filters(binding)));
  return prepared;
}

Packing packing_of(const Shape& shape) {
  return {1, kFrequencies * shape.frame() * int64_t{sizeof(float)},
          std::string("by frequencies in panels of ") + std::to_string(shape.tile.vectors) +
              (shape.backward ? " backward" : "")};
}

}  // namespace

bool fits_winograd(const Binding& binding, bool backward) {
  return binding.operands[0].dtype == DType::f32 && Shape(binding, backward).pays();
}

Prepared prepare_winograd(const Binding& binding, bool backward) {
  return prepare<Winograd>(binding, std::make_shared<const Shape>(binding, backward));
}

Packing winograd_packing(const Binding& binding, bool backward) {
  return packing_of(Shape(binding, backward));
}

bool fits_pooled_winograd(const Binding& binding) {
  if (binding.operands[0].dtype != DType::f32) return false;
  const PooledGeometry pooled = pooled_of(binding);
  return is_usual_pooling(pooled) && Shape(binding, false, pooled.map).pays();
}

Prepared prepare_pooled_winograd(const Binding& binding) {
  return prepare<PooledWinograd>(
      binding, std::make_shared<const Shape>(binding, false, pooled_of(binding).map));
}

Packing pooled_winograd_packing(const Binding& binding) {
  return packing_of(Shape(binding, false, pooled_of(binding).map));
}

}  // namespace slim::SLIM_ISA_NAMESPACE
