// What steps of a plan do to each other's memory: where lanes wait, and what stays in a loop.
#include <algorithm>

#include "kernels/fills.h"
#include "runtime/plan/plan.h"

namespace slim {
namespace {

// Columns of one matrix that are not the same ones.
bool are_apart(const Buffer& a, const Buffer& b) {
  if (a.row_stride == 0 || a.row_stride != b.row_stride || a.dtype != b.dtype) return false;
  const int64_t size = size_of(a.dtype), row = a.row_stride * size;
  const int64_t after = ((b.offset - a.offset) % row + row) % row;  // b's columns, from a's on
  return after >= a.dims.back() * size && after + b.dims.back() * size <= row;
}

bool overlap(const Buffer& a, const Buffer& b) {
  if (a.base != b.base) return false;
  if (a.base == Base::sparse) return a.offset == b.offset;
  const auto end = [](const Buffer& buffer) {
    int64_t count = 1;
    for (const int64_t dim : buffer.dims) count *= dim;
    if (count > 0) count = buffer.at(count - 1) + 1;
    return buffer.offset + count * size_of(buffer.dtype);
  };
  return a.offset < end(b) && b.offset < end(a) && !are_apart(a, b);
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
// All lanes take the same branch, and every step of a loop, whose launches count from their own
// start: they wait before it.
void Plan::mark_barriers(std::vector<Step>& steps, const Touched& touched) {
  const auto& [reads, writes] = touched;
  std::vector<Buffer> read, written;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].branch || steps[i].loop || any_overlap(reads[i], written) ||
        any_overlap(writes[i], written) || any_overlap(writes[i], read)) {
      steps[i].barrier = true;
      read.clear();
      written.clear();
    }
    read.insert(read.end(), reads[i].begin(), reads[i].end());
    written.insert(written.end(), writes[i].begin(), writes[i].end());
  }
}

// What a launch fills stays as it is if the launch is all that writes there, in a loop whose
// sequences write `written`. A value that takes turns lies in two places.
void Plan::mark_turns(Loop& loop, std::vector<Buffer> written) {
  for (const Move& move : loop.carry) written.push_back(move.to);
  for (const Slice& slice : loop.scanned) written.push_back(slice.one);
  for (const Handed& handed : loop.handed) {
    for (Buffer& buffer : written) {
      if (buffer.base == handed.from) buffer.base = handed.to;
    }
  }
  for (Step& step : loop.body.steps) {
    const std::vector<Buffer> fills = Fills::of(step.launch.get());
    const bool stays = std::all_of(fills.begin(), fills.end(), [&](const Buffer& fill) {
      return std::count_if(written.begin(), written.end(),
                           [&](const Buffer& other) { return overlap(fill, other); }) == 1;
    });
    if (fills.empty() || !stays) continue;
    const bool moves = fills[0].base >= Base::moving;
    const bool turns = std::any_of(loop.handed.begin(), loop.handed.end(), [&](const Handed& one) {
      return one.to == fills[0].base && !one.sliced;
    });
    if (turns || !moves) step.turns = turns ? 2 : 1;
  }
}

}  // namespace slim
