// Rounds what is multiplied to the program's compute type; the sums stay as they are.
//
//   compute bfloat16                %x.bfloat16 = round_bfloat16(%x)
//   %y = matmul(%x, %w)       =>    %w.bfloat16 = round_bfloat16(%w)
//                                   %y = matmul(%x.bfloat16, %w.bfloat16)
#include <unordered_map>

#include "ir/ops.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace slim {

void round_operands(Body body, Compute compute) {
  if (compute == Compute::full) return;
  const std::string word = name_of(compute), op = "round_" + word;
  Graph& graph = body.graph;
  Names names(graph);
  std::unordered_map<ValueId, ValueId> rounded;
  std::vector<Node> nodes;
  nodes.reserve(graph.nodes.size());
  for (Node& node : graph.nodes) {
    if (node.op == op) rounded.emplace(node.results[0], node.results[0]);
    if (op_row(node).has(kProduct)) {
      for (size_t i = 0; i < 2; ++i) {
        const ValueId id = node.operands[i];
        const Value value = graph.values[id];
        if (value.type.dtype != DType::f32) continue;
        const auto [known, is_new] = rounded.emplace(id, id);
        if (is_new) {
          known->second = graph.add_value(names.unique(value.name + '.' + word), value.type);
          nodes.push_back({op, {id}, {known->second}, {}, {}});
        }
        node.operands[i] = known->second;
      }
    }
    nodes.push_back(std::move(node));
  }
  graph.nodes = std::move(nodes);
}

}  // namespace slim
