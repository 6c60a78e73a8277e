// Drops nodes whose results nobody uses.
//
//   %a = exp(%x)          %b = tanh(%x)
//   %b = tanh(%x)    =>   return %b
//   return %b
#include <algorithm>

#include "passes/passes.h"
#include "passes/rewrite.h"

namespace slim {

void prune(Body body) {
  std::vector<bool> used = kept_values(body);
  std::vector<Node>& nodes = body.graph.nodes;
  auto live = nodes.end();  // from here on; what is used moves there from the back
  for (auto node = nodes.end(); node != nodes.begin();) {
    --node;
    const bool wanted = std::any_of(node->results.begin(), node->results.end(),
                                    [&](ValueId id) { return used[id]; });
    if (!wanted) continue;
    for (ValueId id : node->operands) used[id] = true;
    if (--live != node) *live = std::move(*node);
  }
  nodes.erase(nodes.begin(), live);
}

}  // namespace slim
