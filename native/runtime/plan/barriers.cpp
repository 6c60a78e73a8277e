// Where the lanes of a plan have to wait for each other.
#include <algorithm>

#include "runtime/plan/plan.h"

namespace slim {
namespace {

bool overlap(const Buffer& a, const Buffer& b) {
  if (a.base != b.base) return false;
  if (a.base == Base::sparse) return a.offset == b.offset;
  const auto end = [](const Buffer& buffer) {
    int64_t bytes = size_of(buffer.dtype);
    for (const int64_t dim : buffer.dims) bytes *= dim;
    return buffer.offset + bytes;
  };
  return a.offset < end(b) && b.offset < end(a);
}

bool any_overlap(const std::vector<Buffer>& some, const std::vector<Buffer>& others) {
  return std::any_of(some.begin(), some.end(), [&](const Buffer& a) {
    return std::any_of(others.begin(), others.end(),
                       [&](const Buffer& b) { return overlap(a, b); });
  });
}

}  // namespace

// Lanes run on from launch to launch as long as these touch nothing that another lane may
// still be reading or writing.
//
// All lanes take the same branch, whose steps count from its own start: they wait before it.
void Plan::mark_barriers(std::vector<Step>& steps, const Touched& touched) {
  const auto& [reads, writes] = touched;
  std::vector<Buffer> read, written;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].branch || any_overlap(reads[i], written) || any_overlap(writes[i], written) ||
        any_overlap(writes[i], read)) {
      steps[i].barrier = true;
      read.clear();
      written.clear();
    }
    read.insert(read.end(), reads[i].begin(), reads[i].end());
    written.insert(written.end(), writes[i].begin(), writes[i].end());
  }
}

}  // namespace slim
