// Computes once what is computed twice.
//
//   %a = exp(%x)              %a = exp(%x)
//   %b = exp(%x)         =>   %c = add(%a, %a)
//   %c = add(%a, %b)
#include <string>
#include <unordered_map>

#include "ir/ops.h"
#include "ir/text.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace slim {

void share(Function& function) {
  Graph& graph = function.graph;
  std::unordered_map<std::string, const Node*> known;
  Substitution same;
  for (Node& node : graph.nodes) {
    for (ValueId& id : node.operands) id = same.of(id);
    if (op_row(node).has(kRandom) || !node.regions.empty()) continue;
    std::string key = node.op;
    for (ValueId id : node.operands) key += '%' + std::to_string(id);
    for (const auto& [name, value] : node.attributes) key += ' ' + name + '=' + print(value);
    for (ValueId id : node.results) key += ':' + to_string(graph.values[id].type);
    const auto [found, is_new] = known.emplace(key, &node);
    if (is_new) continue;
    for (size_t i = 0; i < node.results.size(); ++i) {
      same.put(node.results[i], found->second->results[i]);
    }
  }
  same.apply(function);
  prune(function);
}

}  // namespace slim
