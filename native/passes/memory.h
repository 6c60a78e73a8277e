// Where every value of a function lives: live ranges packed into one scratch arena.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "passes/views.h"

namespace slim {

// Where a value may begin: at its multiples, of bytes.
inline constexpr int64_t kLine = 64;

// Arena 0 is scratch, whose offsets this pass chooses; all others are the caller's.
struct Place {
  int arena = 0;
  int64_t offset = 0;      // bytes
  int64_t row_stride = 0;  // > 0: elements from row to row, which lie apart (passes/views.h)

  bool operator==(const Place&) const = default;
};

struct MemoryRequest {
  // Sizes of the symbols: rows at capacity.
  std::map<std::string, int64_t> symbols;
  // Values that live elsewhere already: declarations, and inputs that are not gathered.
  // Two of them overlap only if their places are equal.
  std::map<ValueId, Place> fixed;
  // Values that must end up at a place outside scratch: grads, sets, and returns if wanted.
  // Returns that are not here live in scratch until the function's end.
  std::vector<std::pair<ValueId, Place>> wanted;
  // Bytes of the buffers that a node, of the function or of a region, needs in scratch while it
  // runs; `views`: of the graph's values. Null: none needs any.
  std::function<std::vector<int64_t>(const Graph& graph, const Node& node,
                                     const std::vector<View>& views)>
      workspace;
  AcceptsPart accepts_part;
  // Arenas, from one to another, that loops may move over a value from slice to slice: inside a
  // step, the slice is all of it. None: slices are copied.
  struct Arenas {
    int first = 0, end = 0;
  };
  Arenas moving = {};
  // Rows may run ahead of each other: only values whose rows are as long share memory, so that
  // one row's lie in the place of the same row's.
  bool rows_apart = false;
};

struct MemoryPlan {
  struct Copy {
    ValueId value;
    Place to;
  };
  struct Stretch {
    Place place;
    int64_t bytes;
  };
  std::vector<Place> places;  // by value; those no node computes or reads keep {0, -1}
  std::vector<Copy> copies;   // to do at the end, for wanted values that live elsewhere
  std::vector<std::vector<Stretch>> workspace;  // by node, as requested
  int64_t scratch_bytes = 0;
  bool rows_apart = false;  // as requested
  int64_t looked = 0;       // at stretches of memory while packing: the work of it
  // By node, of those that run their regions: a plan of each, in the same arenas. Its
  // parameters live where the operands do, its yields are wanted where the results live, and
  // the rest in a stretch of scratch that the regions of the node share while it runs.
  std::vector<std::vector<MemoryPlan>> regions;
};

// Buffers start at multiples of 64 bytes, views in them anywhere; 64 bytes after may be read.
// Values of source ops (input) live from the function's start.
MemoryPlan plan_memory(const Function& function, const MemoryRequest& request);

}  // namespace slim
