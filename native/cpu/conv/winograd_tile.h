// What minimal filtering reads of a source: tiles of 6×6 positions, transformed to frequencies.
#pragma once

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
// everywhere. The direct way for each position; by tiles for each of them, and less the more
// channels share a transform.
inline constexpr double kDirect = 0.195, kTile = 0.8, kTransform = 9;
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

// What a result of a convolution reads, or with kIn − side results what one of its filters does.
struct SourceTransform {
  static constexpr int kSide = kIn;

  template <class V>
  SLIM_INLINE static void apply(const V* d, V* to, int64_t step) {
    const V d0 = d[0], d1 = d[1], d2 = d[2], d3 = d[3], d4 = d[4], d5 = d[5];
    const V four = broadcast<V>(4.0f), five = broadcast<V>(5.0f);
    const V a = fma(-four, d2, d4), b = fma(-four, d1, d3);
    const V c = d4 - d2, e = (d3 - d1) * 2.0f;
    to[0] = fma(four, d0, fma(-five, d2, d4));
    to[step] = a + b;
    to[2 * step] = a - b;
    to[3 * step] = c + e;
    to[4 * step] = c - e;
    to[5 * step] = fma(four, d1, fma(-five, d3, d5));
  }
};

// A square of positions, transformed along both axes: of each channel a number to each
// frequency's frame.
template <class Transform>
void transform_tile(const float* const (&at)[Transform::kSide * Transform::kSide], int64_t channels,
                    float* to, int64_t frame) {
  constexpr int kSide = Transform::kSide;
  for (int64_t c = 0; c < channels; c += kStep) {
    F32 half[kIn * kSide];
#pragma GCC unroll 6
    for (int x = 0; x < kSide; ++x) {
      F32 d[kSide];
#pragma GCC unroll 6
      for (int y = 0; y < kSide; ++y) d[y] = load(at[y * kSide + x] + c);
      Transform::apply(d, half + x, kSide);
    }
#pragma GCC unroll 6
    for (int y = 0; y < kIn; ++y) {
      F32 d[kIn];
      Transform::apply(half + y * kSide, d, 1);
#pragma GCC unroll 6
      for (int x = 0; x < kIn; ++x) store(to + (y * kIn + x) * frame + c, d[x]);
    }
  }
}

// Windows that tiles suit: 3×3 on images, one after the other, of whole vectors of channels.
inline bool suits_tiles(const FilterGeometry& g) {
  const auto suits = [](int64_t n) { return n > 0 && n <= kFoldK && n % kChannelUnit == 0; };
  return g.groups == 1 && g.x[0] == 1 && g.y[0] == 1 && g.kernel == PerAxis{1, kTaps, kTaps} &&
         g.stride == PerAxis{1, 1, 1} && g.dilation == PerAxis{1, 1, 1} && g.before[0] == 0 &&
         suits(g.channels) && suits(g.outputs);
}

}  // namespace slim::SLIM_ISA_NAMESPACE
