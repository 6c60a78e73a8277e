// What minimal filtering reads of a source: tiles of 6×6 positions, transformed to frequencies.
#pragma once

#include <array>
#include <type_traits>

#include "cpu/conv/region.h"
#include "cpu/gemm/plan.h"

namespace slim::SLIM_ISA_NAMESPACE {

inline constexpr int kOut = 4, kIn = 6, kTaps = 3;  // along an axis: results, positions, taps
inline constexpr int kFrequencies = kIn * kIn;
inline constexpr int64_t kStep = kLanes<float>;
inline constexpr int64_t kPad =
    kAlignment / 4;                          // between frequencies, which fell on few sets of L1
inline constexpr int64_t kChannelUnit = 16;  // whole vectors on every level

// What ways take for an image, in ns for a pair of channel and column: measured on AVX2, fixed
// everywhere. The direct way for each position; by tiles for each product of theirs, and for each
// tile, less the more channels share its transform.
inline constexpr double kDirect = 0.195, kProduct = 0.8 / kFrequencies, kTransform = 9;
inline constexpr double kGain = 1.25;  // or it is not worth its rounding

// What lies outside of an image, for all channels of a position.
alignas(kAlignment) inline constexpr float kNoChannels[kFoldK] = {};

// Where the positions of the tile from (h, w) on lie.
template <int side>
void positions_of(const float* image, const PerAxis& size, const Pitch& pitch, int64_t h, int64_t w,
                  const float* (&at)[side * side]) {
  for (int y = 0; y < side; ++y) {
    const bool inside = h + y >= 0 && h + y < size[1];
    const float* row = image + pitch.at(0, h + y, w);
    for (int x = 0; x < side; ++x) {
      const bool there = inside && w + x >= 0 && w + x < size[2];
      at[y * side + x] = there ? row + x * pitch.pixel : kNoChannels;
    }
  }
}

// An axis of results in tiles of kOut. A last one of at most kFew is short: it reads less, and
// its polynomials are of so low a degree that the points ±2 say nothing more: two frequencies of
// six are not there. Transforms of filters are the same.
struct TileAxis {
  static constexpr int kFew = 2;
  int64_t tiles = 0;
  bool short_last = false;

  explicit TileAxis(int64_t size)
      : tiles((size + kOut - 1) / kOut),
        short_last(size > 0 && size - (tiles - 1) * kOut <= kFew) {}
  bool is_short(int64_t tile) const { return short_last && tile == tiles - 1; }
  int64_t frequencies() const { return kIn * tiles - (short_last ? 2 : 0); }
};
constexpr bool only_whole(int frequency) { return frequency == 3 || frequency == 4; }

// Of an image. Kinds are in an order in which the tiles that have a frequency follow each other.
struct TileGrid {
  enum Kind : uint8_t { corner, short_across, whole, short_down };
  static constexpr int kKinds = 4;
  TileAxis down, across;

  struct Place {
    int64_t image, h, w;  // of a tile's first result
    Kind kind;
  };
  int64_t count() const { return down.tiles * across.tiles; }
  Place place_of(int64_t tile) const {
    const int64_t rest = tile % count(), y = rest / across.tiles, x = rest % across.tiles;
    const bool few = across.is_short(x);
    const Kind kind = down.is_short(y) ? (few ? corner : short_down) : few ? short_across : whole;
    return {tile / count(), y * kOut, x * kOut, kind};
  }
  double products() const {  // of a pair of channels
    return static_cast<double>(down.frequencies() * across.frequencies());
  }
};

// The first and the last kind of tiles that have a frequency.
inline std::array<TileGrid::Kind, 2> kinds_having(int frequency) {
  const bool down = only_whole(frequency / kIn), across = only_whole(frequency % kIn);
  return {across ? TileGrid::whole
          : down ? TileGrid::short_across
                 : TileGrid::corner,
          down ? TileGrid::whole : TileGrid::short_down};
}

// Where each of some tiles in a row lies among their transforms, by kind.
template <int64_t most>
class TileOrder {
 public:
  TileOrder(const TileGrid& grid, int64_t first, int64_t count) {
    std::array<int64_t, TileGrid::kKinds> next = {};
    for (int64_t i = 0; i < count; ++i) ++begin_[grid.place_of(first + i).kind + 1];
    for (size_t kind = 0; kind < TileGrid::kKinds; ++kind) {
      begin_[kind + 1] += begin_[kind];
      next[kind] = begin_[kind];
    }
    for (int64_t i = 0; i < count; ++i) slot_[i] = next[grid.place_of(first + i).kind]++;
  }
  int64_t slot(int64_t i) const { return slot_[i]; }
  Range having(int frequency) const {
    const auto [first, last] = kinds_having(frequency);
    return {begin_[first], begin_[last + 1]};
  }

 private:
  std::array<int64_t, TileGrid::kKinds + 1> begin_ = {};
  std::array<int64_t, most> slot_;
};

// What a result of a convolution reads, or with kIn − side results what one of its filters does.
struct SourceTransform {
  static constexpr int kSide = kIn, kShort = kIn - 2;

  template <bool few, class V>
  SLIM_INLINE static void apply(const V* d, V* to, int64_t step) {
    const V d0 = d[0], d1 = d[1], d2 = d[2], d3 = d[3];
    const V four = broadcast<V>(4.0f), five = broadcast<V>(5.0f);
    if constexpr (few) {  // as filters are scaled for six points
      to[0] = (d0 - d2) * 4.0f;
      to[step] = (d1 + d2) * -3.0f;
      to[2 * step] = (d1 - d2) * 3.0f;
      to[5 * step] = d3 - d1;
    } else {
      const V d4 = d[4], d5 = d[5];
      const V a = fma(-four, d2, d4), b = fma(-four, d1, d3);
      const V c = d4 - d2, e = (d3 - d1) * 2.0f;
      to[0] = fma(four, d0, fma(-five, d2, d4));
      to[step] = a + b;
      to[2 * step] = a - b;
      to[3 * step] = c + e;
      to[4 * step] = c - e;
      to[5 * step] = fma(four, d1, fma(-five, d3, d5));
    }
  }
};

// A square of positions, transformed along both axes: of each channel a number to the frame of
// each frequency that the tile has.
template <class Transform, bool few_down, bool few_across>
void transform_positions(const float* const* at, int64_t channels, float* to, int64_t frame) {
  constexpr int kSide = Transform::kSide;
  constexpr int kHigh = few_down ? Transform::kShort : kSide;
  constexpr int kWide = few_across ? Transform::kShort : kSide;
  for (int64_t c = 0; c < channels; c += kStep) {
    F32 half[kIn * kSide];
#pragma GCC unroll 6
    for (int x = 0; x < kWide; ++x) {
      F32 d[kHigh];
#pragma GCC unroll 6
      for (int y = 0; y < kHigh; ++y) d[y] = load(at[y * kSide + x] + c);
      Transform::template apply<few_down>(d, half + x, kSide);
    }
#pragma GCC unroll 6
    for (int y = 0; y < kIn; ++y) {
      if (few_down && only_whole(y)) continue;
      F32 d[kIn];
      Transform::template apply<few_across>(half + y * kSide, d, 1);
#pragma GCC unroll 6
      for (int x = 0; x < kIn; ++x) {
        if (few_across && only_whole(x)) continue;
        store(to + (y * kIn + x) * frame + c, d[x]);
      }
    }
  }
}

// Calls work(few_down, few_across) with constants.
template <class Work>
SLIM_INLINE void of_kind(TileGrid::Kind kind, const Work& work) {
  switch (kind) {
    case TileGrid::whole:
      return work(std::false_type(), std::false_type());
    case TileGrid::short_across:
      return work(std::false_type(), std::true_type());
    case TileGrid::short_down:
      return work(std::true_type(), std::false_type());
    case TileGrid::corner:
      return work(std::true_type(), std::true_type());
  }
}

template <class Transform>
void transform_tile(TileGrid::Kind kind, const float* const* at, int64_t channels, float* to,
                    int64_t frame) {
  of_kind(kind, [&](auto few_down, auto few_across) {
    transform_positions<Transform, few_down.value, few_across.value>(at, channels, to, frame);
  });
}

inline double tiles_time(const TileGrid& grid, int64_t channels, int64_t columns) {
  const double shares = 1 / static_cast<double>(channels) + 1 / static_cast<double>(columns);
  return kProduct * grid.products() + kTransform * shares * static_cast<double>(grid.count());
}

// Windows that tiles suit: 3×3 on images, one after the other, of whole vectors of channels.
inline bool suits_tiles(const FilterGeometry& g) {
  const auto suits = [](int64_t n) { return n > 0 && n <= kFoldK && n % kChannelUnit == 0; };
  return g.groups == 1 && g.x[0] == 1 && g.y[0] == 1 && g.kernel == PerAxis{1, kTaps, kTaps} &&
         g.stride == PerAxis{1, 1, 1} && g.dilation == PerAxis{1, 1, 1} && g.before[0] == 0 &&
         suits(g.channels) && suits(g.outputs);
}

}  // namespace slim::SLIM_ISA_NAMESPACE
