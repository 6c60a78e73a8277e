// How a kernel cuts its work into tasks: by shape and rows only, never by threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/kernel.h"

namespace slim::SLIM_ISA_NAMESPACE {

// About what one core does in ten microseconds: less is not worth another task.
inline constexpr int64_t kTaskBytes = 128 * 1024;

// The same in half a microsecond, for kernels that run neighbouring tasks as one.
inline constexpr int64_t kSliceBytes = 8 * 1024;

// Units (rows, columns, elements) in runs of `grain`; a launch of no units has one empty task.
struct Split {
  int64_t grain = 1;

  // Units that move `bytes` each, or cost as much as moving them; grain a multiple of `step`.
  static Split by_bytes(int64_t bytes, int64_t step = 1, int64_t task_bytes = kTaskBytes) {
    const int64_t units = task_bytes / std::max<int64_t>(bytes, 1);
    return {std::max<int64_t>(units / step, 1) * step};
  }
  int64_t tasks(int64_t units) const { return units <= grain ? 1 : (units + grain - 1) / grain; }
  int64_t first(int64_t task) const { return task * grain; }
  int64_t last(int64_t task, int64_t units) const { return std::min(units, (task + 1) * grain); }
};

// A contraction over the batch has at least so many tasks if it is worth them.
inline constexpr int64_t kMostSlices = 8;

// Into how many slices `tasks` that are worth so many are cut, the slices' results added in
// order by another launch.
inline int64_t slices_of(int64_t tasks, int64_t worth) {
  const int64_t wanted = (kMostSlices + tasks - 1) / std::max<int64_t>(tasks, 1);
  return std::clamp<int64_t>(worth / std::max<int64_t>(tasks, 1), 1, std::max<int64_t>(wanted, 1));
}

// A product of dimensions: fixed, or so much for every row of the batch.
struct Count {
  int64_t fixed = 1;
  int64_t per_row = 0;

  int64_t operator()(int64_t rows) const { return per_row > 0 ? per_row * rows : fixed; }
};

// The elements of dims [first, last) of a buffer.
inline Count count_of(const Buffer& buffer, size_t first, size_t last) {
  Count count;
  for (size_t i = first; i < last; ++i) count.fixed *= buffer.dims[i];
  if (first == 0 && last > 0 && buffer.per_row > 0) {
    count.per_row = buffer.per_row;
    for (size_t i = 1; i < last; ++i) count.per_row *= buffer.dims[i];
  }
  return count;
}

// The most rows that a batch of this plan can have; 1 where nothing depends on them.
inline int64_t capacity_of(const Binding& binding) {
  for (const auto* buffers : {&binding.operands, &binding.results}) {
    for (const Buffer& buffer : *buffers) {
      if (buffer.per_row > 0) return buffer.dims[0] / buffer.per_row;
    }
  }
  return 1;
}

}  // namespace slim::SLIM_ISA_NAMESPACE
