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
  std::vector<Node> live;
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
    const bool wanted = std::any_of(node->results.begin(), node->results.end(),
                                    [&](ValueId id) { return used[id]; });
    if (!wanted) continue;
    for (ValueId id : node->operands) used[id] = true;
    live.push_back(std::move(*node));
  }
  std::reverse(live.begin(), live.end());
  nodes = std::move(live);
}

}  // namespace slim
