// Rows that lie apart (Buffer::row_stride) against elements that follow each other.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpu/vec.h"

namespace slim::SLIM_ISA_NAMESPACE {

// Exactly n bytes, a short run without a call: its first and last pieces may overlap.
SLIM_INLINE void copy_bytes(std::byte* dst, const std::byte* src, int64_t n) {
  const auto ends = [&]<int size>() {
    std::memcpy(dst, src, size);
    std::memcpy(dst + n - size, src + n - size, size);
  };
  if (n > 256) {
    std::memcpy(dst, src, static_cast<size_t>(n));
  } else if (n >= 32) {
    for (int64_t i = 0; i + 32 < n; i += 32) std::memcpy(dst + i, src + i, 32);
    std::memcpy(dst + n - 32, src + n - 32, 32);
  } else if (n >= 16) {
    ends.template operator()<16>();
  } else if (n >= 8) {
    ends.template operator()<8>();
  } else if (n >= 4) {
    ends.template operator()<4>();
  } else {
    for (int64_t i = 0; i < n; ++i) dst[i] = src[i];
  }
}

// Calls visit(position in memory, number of those before, count) for each run of the elements
// first … first + n - 1 that lies together, where rows of `width` are `stride` apart.
template <class Visit>
SLIM_INLINE void visit_runs(int64_t first, int64_t n, int64_t width, int64_t stride, Visit visit) {
  const int64_t before = first % width;
  int64_t row = first / width * stride;
  int64_t count = std::min(n, width - before);
  visit(row + before, int64_t{0}, count);
  for (int64_t done = count; done < n; done += count) {
    row += stride;
    count = std::min(n - done, width);
    visit(row, done, count);
  }
}

}  // namespace slim::SLIM_ISA_NAMESPACE
