// What a function does to the rows of a batch: may it run on part of them at a time?
#pragma once

#include <vector>

#include "ir/graph.h"

namespace slim {

enum class RowUse : uint8_t {
  free,   // knows nothing of the batch
  row,    // row i of the value depends on row i of the sources alone
  sum,    // a sum over the rows: parts of the batch add up
  mixed,  // anything else: needs the whole batch at once
};

struct RowAnalysis {
  std::vector<RowUse> returns;
  bool chunkable = true;  // no return or assignment is mixed, and no assignment sums
};

RowAnalysis analyze_rows(const Function& function);

// Whether every value mentions `symbol` only as c*symbol in its leading dimension, so that one
// plan serves any number of rows up to its capacity.
bool leads_everywhere(const Function& function, const std::string& symbol);

}  // namespace slim
