// The sizes of a convolution or a pooling, and where each of its results reads.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <vector>

#include "cpu/split.h"

namespace slim::SLIM_ISA_NAMESPACE {

inline constexpr int kAxes = 3;  // depth, height, width; of one position where there are fewer
using PerAxis = std::array<int64_t, kAxes>;

// Of windows that slide over x and give y each.
struct Geometry {
  Count images;
  PerAxis x = {1, 1, 1}, y = {1, 1, 1}, kernel = {1, 1, 1};
  PerAxis stride = {1, 1, 1}, dilation = {1, 1, 1}, before = {};  // zeros before x

  Geometry(const Binding& binding, const Buffer& x_buffer, const std::vector<int64_t>& sizes,
           const Buffer& y_buffer) {
    const std::vector<int64_t> strides = binding.integers("strides");
    const std::vector<int64_t> dilations = binding.integers("dilations");
    const std::vector<int64_t> padding = binding.integers("padding");
    const size_t axes = strides.size();
    for (size_t axis = 0; axis < axes; ++axis) {
      const size_t to = kAxes - axes + axis;
      x[to] = x_buffer.dims[1 + axis];
      y[to] = y_buffer.dims[1 + axis];
      kernel[to] = sizes[axis];
      stride[to] = strides[axis];
      dilation[to] = dilations[axis];
      before[to] = padding[2 * axis];
    }
    images = count_of(x_buffer, 0, 1);
  }

  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  bool flat() const { return x[0] == 1 && y[0] == 1 && kernel[0] == 1 && before[0] == 0; }
};

// With filters [kernel..., channels of a group, outputs].
struct FilterGeometry : Geometry {
  int64_t groups;
  int64_t channels, outputs;  // of a group

  FilterGeometry(const Binding& binding, const Buffer& x_buffer,
                 const std::vector<int64_t>& filters, const Buffer& y_buffer)
      : Geometry(binding, x_buffer, filters, y_buffer),
        groups(binding.integer("groups", 1)),
        channels(filters[filters.size() - 2]),
        outputs(filters.back() / groups) {}
};

// Where a kernel reads its filters in an order of its own.
inline const Buffer& packed_filters(const Binding& binding) {
  return binding.packed ? *binding.packed : binding.workspace[0];
}

inline int64_t volume(const PerAxis& size) { return size[0] * size[1] * size[2]; }

// Results first, first + step … of an axis read what lies scale apart: result number j the
// source at scale · j + offset[t] for each t, by tap[t] of the filters. Offsets rise.
struct Phase {
  int64_t first = 0, step = 1, count = 0, scale = 1;
  std::vector<int64_t> offset, tap;

  bool consecutive() const {
    for (size_t t = 1; t < offset.size(); ++t) {
      if (offset[t] != offset[t - 1] + 1) return false;
    }
    return true;
  }
};

// What y reads of x along an axis: every position in one phase.
inline std::vector<Phase> forward_phases(const Geometry& geometry, int axis) {
  Phase phase{0, 1, geometry.y[axis], geometry.stride[axis], {}, {}};
  for (int64_t tap = 0; tap < geometry.kernel[axis]; ++tap) {
    phase.offset.push_back(tap * geometry.dilation[axis] - geometry.before[axis]);
    phase.tap.push_back(tap);
  }
  return {phase};
}

// What the gradient of x reads of that of y: positions a stride apart see the same taps. Tap t
// of output o reads x at o · stride + t · dilation − before.
inline std::vector<Phase> backward_phases(const Geometry& geometry, int axis) {
  const int64_t stride = geometry.stride[axis];
  std::vector<Phase> phases;
  for (int64_t first = 0; first < stride && first < geometry.x[axis]; ++first) {
    Phase phase{first, stride, (geometry.x[axis] - first + stride - 1) / stride, 1, {}, {}};
    for (int64_t tap = geometry.kernel[axis] - 1; tap >= 0; --tap) {
      const int64_t from = first + geometry.before[axis] - tap * geometry.dilation[axis];
      if (((from % stride) + stride) % stride != 0) continue;
      phase.offset.push_back(from / stride);
      phase.tap.push_back(tap);
    }
    phases.push_back(std::move(phase));
  }
  return phases;
}

struct Range {
  int64_t first, last;

  int64_t length() const { return last - first; }
};

// Which taps of a phase lie inside of the source: they follow each other.
inline Range taps_inside(const Phase& phase, int64_t position, int64_t size) {
  const auto count = static_cast<int64_t>(phase.offset.size());
  const int64_t base = phase.scale * position;
  Range range{0, count};
  while (range.first < count && base + phase.offset[range.first] < 0) ++range.first;
  while (range.last > range.first && base + phase.offset[range.last - 1] >= size) --range.last;
  return range;
}

}  // namespace slim::SLIM_ISA_NAMESPACE
