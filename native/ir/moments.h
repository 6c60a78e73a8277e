// What makes a sum the first moment of its operand.
#pragma once

#include "ir/graph.h"

namespace slim {

// Whether x - sum / count, of reduce_sum(x), is x around its mean: `count` is the number of
// terms, and each sum stands against its own terms.
bool counts_terms(const Graph& graph, const Node& sum, const Node& count);

}  // namespace slim
