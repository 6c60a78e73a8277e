// The gradient of 3×3 filters of many channels by minimal filtering F(3×3, 4×4): rounds of images,
// each transformed to memory that all tasks share, then a product for each frequency.
#include <algorithm>
#include <memory>

#include "cpu/conv/winograd.h"
#include "cpu/conv/winograd_sums.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

constexpr int64_t kRoundTiles = 256;  // of a round: a chain of fma
constexpr int64_t kRoundUnit = 16;  // channels that lie together, those of a tile behind each other
constexpr int64_t kRoundUnits = 8;  // of a task of products
constexpr double kRoundTime = 43.0 / 8;  // ns an image for sums that no cache holds
static_assert(kRoundUnit == kChannelUnit && kRoundUnit % kStep == 0);

struct RoundSums {
  FilterGeometry geometry;
  Buffer x, dy, filters;
  TileGrid grid;              // of an image
  int64_t images = 1;         // of a round
  std::vector<int64_t> rank;  // of a tile among those of its kind in an image
  std::array<int64_t, TileGrid::kKinds> of_kind = {};

  explicit RoundSums(const Binding& binding)
      : geometry(binding, binding.operands[0], binding.results[0].dims, binding.operands[1]),
        x(binding.operands[0]),
        dy(binding.operands[1]),
        filters(binding.results[0]),
        grid{TileAxis(geometry.y[1]), TileAxis(geometry.y[2])} {
    if (grid.count() == 0 || grid.count() > kRoundTiles) return;
    images = kRoundTiles / grid.count();
    for (int64_t tile = 0; tile < grid.count(); ++tile) {
      rank.push_back(of_kind[grid.place_of(tile).kind]++);
    }
  }

  bool pays() const {
    if (!suits_tiles(geometry) || rank.empty()) return false;
    const double time = kRoundTime + tiles_time(grid, geometry.channels, geometry.outputs);
    return kDirect * static_cast<double>(geometry.y[1] * geometry.y[2]) > kGain * time;
  }
  int64_t frame() const { return geometry.channels * geometry.outputs + kPad; }
  int64_t count() const { return kFrequencies * frame(); }
  int64_t slices(int64_t) const { return 1; }
  int64_t rounds(int64_t rows) const { return (geometry.images(rows) + images - 1) / images; }
  int64_t images_of(int64_t round, int64_t rows) const {
    return std::clamp<int64_t>(geometry.images(rows) - round * images, 0, images);
  }
  // Between frequencies of transforms.
  int64_t step(int64_t channels) const { return kRoundTiles * channels + kPad; }

  // Tiles of `some` images lie kind by kind.
  int64_t begin(int kind, int64_t some) const {
    int64_t before = 0;
    for (int k = 0; k < kind; ++k) before += of_kind[static_cast<size_t>(k)];
    return before * some;
  }
  int64_t slot(int64_t tile, int64_t image, int64_t some, TileGrid::Kind kind) const {
    return begin(kind, some) + image * of_kind[kind] + rank[static_cast<size_t>(tile)];
  }
  Range having(int frequency, int64_t some) const {
    const auto [first, last] = kinds_having(frequency);
    return {begin(first, some), begin(last + 1, some)};
  }
};

class TransformRound final : public Launch {
 public:
  TransformRound(std::shared_ptr<const RoundSums> sums, int64_t round, const Buffer& source,
                 const Buffer& grad)
      : sums_(std::move(sums)), round_(round), source_(source), grad_(grad) {
    const FilterGeometry& g = sums_->geometry;
    x_ = Pitch(g.x, g.channels);
    dy_ = Pitch(g.y, g.outputs);
  }

  // Tiles, of the source and then of the gradient.
  int64_t tasks(int64_t rows) const override { return std::max<int64_t>(2 * tiles(rows), 1); }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    const RoundSums& s = *sums_;
    const FilterGeometry& g = s.geometry;
    const int64_t some = s.images_of(round_, context.rows);
    if (some == 0) return;
    const int64_t tile = task / 2;
    const auto [image, h, w, kind] = s.grid.place_of(tile);
    const int64_t slot = s.slot(tile % s.grid.count(), image, some, kind);
    const int64_t at = round_ * s.images + image;
    if (task % 2 == 0) {
      const float* from[kIn * kIn];
      positions_of<kIn>(s.x.in<float>(context) + at * x_.depth, g.x, x_, h - g.before[1],
                        w - g.before[2], from);
      transform<SourceTransform>(kind, from, g.channels, slot, source_.in<float>(context));
    } else {
      const float* from[kOut * kOut];
      positions_of<kOut>(s.dy.in<float>(context) + at * dy_.depth, g.y, dy_, h, w, from);
      transform<GradTransform>(kind, from, g.outputs, slot, grad_.in<float>(context));
    }
  }

  Cost cost(int64_t rows) const override {
    const FilterGeometry& g = sums_->geometry;
    const double numbers = static_cast<double>(tiles(rows) * (g.channels + g.outputs));
    return {0, (kOut * kOut + kFrequencies) * numbers * sizeof(float)};
  }

 private:
  int64_t tiles(int64_t rows) const { return sums_->images_of(round_, rows) * sums_->grid.count(); }

  template <class Transform, size_t positions>
  void transform(TileGrid::Kind kind, const float* (&from)[positions], int64_t channels,
                 int64_t slot, float* to) const {
    for (int64_t unit = 0; unit < channels / kRoundUnit; ++unit) {
      transform_tile<Transform>(kind, from, kRoundUnit,
                                to + (unit * kRoundTiles + slot) * kRoundUnit,
                                sums_->step(channels));
      for (const float*& position : from) position += kRoundUnit;
    }
  }

  std::shared_ptr<const RoundSums> sums_;
  int64_t round_;
  Buffer source_, grad_;
  Pitch x_, dy_;
};

class MultiplyRound final : public Launch {
 public:
  MultiplyRound(std::shared_ptr<const RoundSums> sums, int64_t round, const Buffer& source,
                const Buffer& grad, const Buffer& to)
      : sums_(std::move(sums)),
        round_(round),
        source_(source),
        grad_(grad),
        to_(to),
        units_(Parts::of_at_most(sums_->geometry.channels / kRoundUnit, kRoundUnits)) {}

  int64_t tasks(int64_t) const override { return kFrequencies * units_.count; }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    const RoundSums& s = *sums_;
    const FilterGeometry& g = s.geometry;
    const int f = static_cast<int>(task / units_.count);
    const int64_t some = s.images_of(round_, context.rows), part = task % units_.count;
    const Range tiles = s.having(f, some);
    if (round_ > 0 && tiles.length() == 0) return;
    const MicroTables<float>& tables = micro_tables<float>();
    constexpr int kVectors = kRoundUnit / kStep;
    const Parts strips = Parts::of_at_most(kRoundUnit, most_rows(kVectors));
    const float* source = source_.in<float>(context) + f * s.step(g.channels);
    const float* grad = grad_.in<float>(context) + f * s.step(g.outputs);
    MicroCall<float> call;
    call.k = tiles.length();
    call.a_row = 1;
    call.a_k = kRoundUnit;
    call.b_k = kRoundUnit;
    call.c_row = g.outputs;
    call.accumulate = round_ > 0;
    call.last_columns = kStep;
    call.finish = nullptr;
    for (int64_t unit = units_.begin(part); unit < units_.end(part); ++unit) {
      const float* a = source + (unit * kRoundTiles + tiles.first) * kRoundUnit;
      float* c = to_.in<float>(context) + f * s.frame() + unit * kRoundUnit * g.outputs;
      for (int64_t panel = 0; panel < g.outputs / kRoundUnit; ++panel) {
        call.b = grad + (panel * kRoundTiles + tiles.first) * kRoundUnit;
        for (int64_t strip = 0; strip < strips.count; ++strip) {
          const int64_t row = strips.begin(strip), rows = strips.end(strip) - row;
          call.a = a + row;
          call.c = c + row * g.outputs + panel * kRoundUnit;
          tables.full[static_cast<size_t>(rows - 1)][kVectors - 1](call);
        }
      }
    }
  }

  Cost cost(int64_t rows) const override {
    const FilterGeometry& g = sums_->geometry;
    const double pairs = static_cast<double>(g.channels * g.outputs);
    return {
        2.0 * static_cast<double>(sums_->images_of(round_, rows)) * sums_->grid.products() * pairs,
        kFrequencies * pairs * sizeof(float)};
  }

 private:
  std::shared_ptr<const RoundSums> sums_;
  int64_t round_;
  Buffer source_, grad_;
  Buffer to_;    // [frequencies, channels, outputs]
  Parts units_;  // of channels
};

}  // namespace

bool sums_rounds(const Binding& binding) {
  return binding.operands[0].dtype == DType::f32 && RoundSums(binding).pays();
}

Prepared prepare_round_sums(const Binding& binding) {
  const auto sums = std::make_shared<const RoundSums>(binding);
  const std::vector<Buffer>& space = binding.workspace;
  const int64_t rounds = std::max<int64_t>(sums->rounds(capacity_of(binding)), 1);
  Prepared prepared;
  for (int64_t round = 0; round < rounds; ++round) {
    prepared.launches.push_back(std::make_unique<TransformRound>(sums, round, space[0], space[1]));
    prepared.launches.push_back(
        std::make_unique<MultiplyRound>(sums, round, space[0], space[1], space[2]));
  }
  prepared.launches.push_back(std::make_unique<FinishFilters<RoundSums>>(sums, space[2]));
  return prepared;
}

std::vector<int64_t> round_sums_workspace(const Binding& binding) {
  const RoundSums sums(binding);
  const auto bytes = [](int64_t floats) { return floats * int64_t{sizeof(float)}; };
  return {bytes(kFrequencies * sums.step(sums.geometry.channels)),
          bytes(kFrequencies * sums.step(sums.geometry.outputs)), bytes(sums.count())};
}

}  // namespace slim::SLIM_ISA_NAMESPACE
