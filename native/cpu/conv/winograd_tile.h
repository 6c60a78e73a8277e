// What minimal filtering reads of a source: tiles of 6×6 positions, transformed to frequencies.
#pragma once

#include "cpu/conv/region.h"
#include "cpu/gemm/plan.h"

namespace slim::SLIM_ISA_NAMESPACE {

inline constexpr int kOut = 4, kIn = 6, kTaps = 3;  // along an axis: results, positions, taps
inline constexpr int kFrequencies = kIn * kIn;
inline constexpr int64_t kStep = kLanes<float>;

// What lies outside of an image, for all channels of a position.
alignas(kAlignment) inline constexpr float kNoChannels[kFoldK] = {};

// Where the positions of the tile from (h, w) on lie.
inline void positions_of(const float* image, const PerAxis& size, const Pitch& pitch, int64_t h,
                         int64_t w, const float* (&at)[kFrequencies]) {
  for (int y = 0; y < kIn; ++y) {
    const bool inside = h + y >= 0 && h + y < size[1];
    const float* row = image + pitch.at(0, h + y, w);
    for (int x = 0; x < kIn; ++x) {
      const bool there = inside && w + x >= 0 && w + x < size[2];
      at[y * kIn + x] = there ? row + x * pitch.pixel : kNoChannels;
    }
  }
}

template <class V>
SLIM_INLINE void source_transform(const V* d, int64_t step, V* to, int64_t to_step) {
  const V d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step];
  const V d5 = d[5 * step];
  const V four = broadcast<V>(4.0f), five = broadcast<V>(5.0f);
  const V a = fma(-four, d2, d4), b = fma(-four, d1, d3);
  const V c = d4 - d2, e = (d3 - d1) * 2.0f;
  to[0] = fma(four, d0, fma(-five, d2, d4));
  to[to_step] = a + b;
  to[2 * to_step] = a - b;
  to[3 * to_step] = c + e;
  to[4 * to_step] = c - e;
  to[5 * to_step] = fma(four, d1, fma(-five, d3, d5));
}

}  // namespace slim::SLIM_ISA_NAMESPACE
