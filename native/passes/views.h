// Which values lie inside another's memory: reshapes, columns cut from a value, and what is
// computed right where a concatenation or a padding needs it.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ir/graph.h"

namespace slim {

struct View {
  ValueId root = -1;       // whose memory it is; the value itself: its own
  int64_t first = 0;       // elements of the root before it
  int64_t row_stride = 0;  // > 0: elements from row to row, which lie apart

  bool operator==(const View&) const = default;
};

// Whether what runs a node lets values that it reads and stores be parts of others, whose rows lie
// `apart` or follow each other; empty: each that may.
using AcceptsPart = std::function<bool(const Node& node, bool apart)>;

// By value. `kept`: those that are read at the end, which are no views; `fixed`, by value: those
// that live where they are, not where somebody wants them.
std::vector<View> find_views(const Graph& graph, const std::vector<ValueId>& kept,
                             const std::vector<bool>& fixed, const AcceptsPart& accepts = {});

}  // namespace slim
