// Copies nodes into a region: what they read becomes parameters, scalars come along.
#include "passes/region.h"

#include <algorithm>
#include <utility>

#include "ir/ops.h"
#include "passes/rewrite.h"

namespace slim {

namespace {
constexpr int kMaxPulled = 32;  // scalars in a row that come along
}  // namespace

ValueId RegionBuilder::parameter(ValueId outer) {
  const ValueId id = region_.add_value(outer_.values[outer].name, outer_.values[outer].type);
  region_.parameters.push_back(id);
  operands_.push_back(outer);
  return inner_[outer] = id;
}

ValueId RegionBuilder::read(ValueId outer, int depth) {
  const auto known = inner_.find(outer);
  if (known != inner_.end()) return known->second;
  const int node = producer_[outer];
  if (node < 0 || depth >= kMaxPulled || !may_pull_(node)) return parameter(outer);
  add(outer_.nodes[node], depth + 1);
  return inner_[outer];
}

void RegionBuilder::add(const Node& node, int depth) {
  Node copy{node.op, {}, {}, node.attributes, node.regions};
  for (ValueId id : node.operands) copy.operands.push_back(read(id, depth));
  for (ValueId id : node.results) {
    copy.results.push_back(region_.add_value(outer_.values[id].name, outer_.values[id].type));
    inner_[id] = copy.results.back();
  }
  region_.nodes.push_back(std::move(copy));
}

void RegionBuilder::yield(ValueId outer) { region_.returns.push_back(read(outer)); }

bool is_scalar_node(const Graph& graph, const Node& node) {
  const OpRow& row = op_row(node);
  if (!row.has(kElementwise) && node.op != "constant" && node.op != "extent") return false;
  return graph.values[node.results[0]].type.dims.empty();
}

void sort_nodes(Graph& graph) {
  const std::vector<int> producer = producers(graph);
  const int count = static_cast<int>(graph.nodes.size());
  int in_order = 0;
  const auto stands_behind = [&](ValueId id) { return producer[id] < in_order; };
  while (in_order < count && std::all_of(graph.nodes[in_order].operands.begin(),
                                         graph.nodes[in_order].operands.end(), stands_behind)) {
    ++in_order;
  }
  if (in_order == count) return;
  std::vector<bool> started(graph.nodes.size(), false);
  std::vector<Node> sorted;
  sorted.reserve(graph.nodes.size());
  std::vector<std::pair<int, size_t>> stack;  // node, operands seen
  for (size_t root = 0; root < graph.nodes.size(); ++root) {
    if (started[root]) continue;
    started[root] = true;
    stack.push_back({static_cast<int>(root), 0});
    while (!stack.empty()) {
      auto& [at, seen] = stack.back();
      Node& node = graph.nodes[at];
      if (seen == node.operands.size()) {
        sorted.push_back(std::move(node));
        stack.pop_back();
        continue;
      }
      const int needed = producer[node.operands[seen++]];
      if (needed >= 0 && !started[needed]) {
        started[needed] = true;
        stack.push_back({needed, 0});
      }
    }
  }
  graph.nodes = std::move(sorted);
}

}  // namespace slim
