// Which values lie inside another's memory: reshapes, columns cut from a value, and what is
// computed right where a concatenation or a padding needs it.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph.h"

namespace slim {

struct View {
  ValueId root = -1;       // whose memory it is; the value itself: its own
  int64_t first = 0;       // elements of the root before it
  int64_t row_stride = 0;  // > 0: elements from row to row, which lie apart

  bool operator==(const View&) const = default;
};

// By value. `kept`: those that are read at the end, which are no views; `fixed`, by value: those
// that live where they are, not where somebody wants them.
std::vector<View> find_views(const Graph& graph, const std::vector<ValueId>& kept,
                             const std::vector<bool>& fixed);

}  // namespace slim
