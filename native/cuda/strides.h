// Axes of a buffer as steps through memory, and an element's place in them as words.
#pragma once

#include <string>
#include <vector>

#include "cuda/shapes.h"

namespace slim::cuda {

struct Axis {
  Count size;
  int64_t stride = 0;  // elements
};

// Elements from index to index of each axis.
inline std::vector<int64_t> strides_of(const Buffer& buffer) {
  std::vector<int64_t> strides(buffer.dims.size());
  int64_t stride = 1;
  for (size_t i = strides.size(); i-- > 0;) {
    strides[i] = stride;
    stride = i + 1 == strides.size() ? buffer.row() : stride * buffer.dims[i];
  }
  return strides;
}

// Axes of one element go, neighbours that one step walks through become one.
inline std::vector<Axis> merged(const std::vector<Axis>& axes) {
  std::vector<Axis> kept;
  for (const Axis& axis : axes) {
    if (axis.size.per_row == 0 && axis.size.capacity == 1) continue;
    if (!kept.empty() && kept.back().stride == axis.size.capacity * axis.stride) {
      kept.back().size.capacity *= axis.size.capacity;
      kept.back().size.per_row *= axis.size.capacity;
      kept.back().stride = axis.stride;
    } else {
      kept.push_back(axis);
    }
  }
  return kept;
}

inline Count product_of(const std::vector<Axis>& axes) {
  Count count;
  for (const Axis& axis : axes) {
    count.per_row = count.per_row > 0       ? count.per_row * axis.size.capacity
                    : axis.size.per_row > 0 ? count.capacity * axis.size.per_row
                                            : 0;
    count.capacity *= axis.size.capacity;
  }
  return count;
}

// Where the index-th of all combinations lies; the outermost axis takes what is left.
inline std::string offset_text(const std::vector<Axis>& axes, const std::string& index) {
  std::string text;
  int64_t inner = 1;
  for (size_t i = axes.size(); i-- > 0;) {
    std::string at = inner > 1 ? index + " / " + std::to_string(inner) : index;
    if (i > 0)
      at = (inner > 1 ? '(' + at + ')' : at) + " % " +
           std::to_string(std::max<int64_t>(axes[i].size.capacity, 1));
    text += (text.empty() ? "" : " + ") + at + " * " + std::to_string(axes[i].stride);
    inner *= std::max<int64_t>(axes[i].size.capacity, 1);
  }
  return text.empty() ? "0" : text;
}

// A struct whose at(index) is that place.
inline std::string place_struct(const std::string& name, const std::vector<Axis>& axes) {
  return "struct " + name + " {\n  static __device__ long long at(long long i) { (void)i; return " +
         offset_text(axes, "i") + "; }\n};\n";
}

// Where the index-th element of a buffer lies.
inline std::string element_text(const Buffer& buffer, const std::string& index) {
  if (buffer.row_stride == 0) return index;
  const std::string width = std::to_string(buffer.dims.back());
  return index + " / " + width + " * " + std::to_string(buffer.row_stride) + " + " + index + " % " +
         width;
}

}  // namespace slim::cuda
