// Joins neighbours.
#include "runtime/train/segments.h"

#include <algorithm>
#include <stdexcept>

#include "runtime/plan/arena.h"

namespace slim {

size_t check_update(const Segment& segment, size_t updates) {
  const auto index = static_cast<size_t>(segment.update);
  if (segment.update >= 0 && index < updates) return index;
  throw std::invalid_argument("a segment asks for update function " +
                              std::to_string(segment.update) + ", this program has " +
                              std::to_string(updates));
}

std::vector<Segment> join_segments(std::vector<Segment> segments, const Layout& layout,
                                   const std::function<bool(const Segment&)>& alone) {
  const int64_t size = size_of(layout.precision), total = layout.param_bytes / size;
  std::sort(segments.begin(), segments.end(),
            [](const Segment& a, const Segment& b) { return a.offset < b.offset; });
  std::vector<Segment> joined;
  bool open = false;  // whether the last may grow
  for (Segment& segment : segments) {
    if (segment.offset < 0 || segment.length < 0 || segment.offset > total - segment.length) {
      throw std::invalid_argument("a segment lies outside the parameter arena of " +
                                  std::to_string(total) + " elements");
    }
    if (segment.offset * size % kAlignment != 0) {
      throw std::invalid_argument("a segment starts between two parameters");
    }
    if (segment.frozen || segment.length == 0) continue;
    const int64_t end = std::min(total, round_up((segment.offset + segment.length) * size) / size);
    const bool joins = !alone(segment);
    if (open && joins && joined.back().offset + joined.back().length == segment.offset &&
        joined.back().coefficients == segment.coefficients &&
        joined.back().scheduled == segment.scheduled && joined.back().update == segment.update) {
      joined.back().length = end - joined.back().offset;
    } else {
      if (joins) segment.length = end - segment.offset;
      joined.push_back(std::move(segment));
    }
    open = joins;
  }
  return joined;
}

}  // namespace slim
