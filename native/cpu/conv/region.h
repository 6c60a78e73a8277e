// The part of a source that some results read, copied with the zeros around it.
#pragma once

#include <algorithm>
#include <cstring>

#include "cpu/conv/geometry.h"
#include "cpu/rows.h"

namespace slim::SLIM_ISA_NAMESPACE {

// Where positions lie, in elements.
struct Pitch {
  int64_t depth = 0, row = 0, pixel = 0;

  Pitch() = default;
  Pitch(const PerAxis& size, int64_t pixel)
      : depth(size[1] * size[2] * pixel), row(size[2] * pixel), pixel(pixel) {}
  int64_t at(int64_t d, int64_t h, int64_t w) const { return d * depth + h * row + w * pixel; }
};

// A box of positions, which may lie outside of the source in part.
struct Box {
  PerAxis origin = {}, size = {};

  bool inside(const PerAxis& source) const {
    for (int axis = 0; axis < kAxes; ++axis) {
      if (origin[axis] < 0 || origin[axis] + size[axis] > source[axis]) return false;
    }
    return true;
  }
};

// Positions of `box` of one image to `to`; what lies outside is zero.
template <class T>
void copy_box(const T* image, const PerAxis& source, const Pitch& pitch, int64_t channels,
              const Box& box, T* to, const Pitch& to_pitch) {
  const int64_t left = std::clamp<int64_t>(-box.origin[2], 0, box.size[2]);
  const int64_t end = std::clamp<int64_t>(source[2] - box.origin[2], left, box.size[2]);
  const auto zero = [&](T* at, int64_t pixels) {
    if (pixels > 0) std::memset(at, 0, static_cast<size_t>(pixels * to_pitch.pixel) * sizeof(T));
  };
  for (int64_t d = 0; d < box.size[0]; ++d) {
    const int64_t z = box.origin[0] + d;
    for (int64_t h = 0; h < box.size[1]; ++h) {
      const int64_t y = box.origin[1] + h;
      T* row = to + to_pitch.at(d, h, 0);
      if (z < 0 || z >= source[0] || y < 0 || y >= source[1]) {
        zero(row, box.size[2]);
        continue;
      }
      zero(row, left);
      T* copy = row + left * to_pitch.pixel;
      const T* from = image + pitch.at(z, y, box.origin[2] + left);
      if (pitch.pixel == channels && to_pitch.pixel == channels) {
        const auto bytes = static_cast<size_t>((end - left) * channels) * sizeof(T);
        std::memcpy(copy, from, bytes);
      } else {
        for (int64_t w = left; w < end; ++w, from += pitch.pixel, copy += to_pitch.pixel) {
          copy_bytes(reinterpret_cast<std::byte*>(copy), reinterpret_cast<const std::byte*>(from),
                     channels * int64_t{sizeof(T)});
        }
      }
      zero(row + end * to_pitch.pixel, box.size[2] - end);
    }
  }
}

}  // namespace slim::SLIM_ISA_NAMESPACE
