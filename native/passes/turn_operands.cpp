// Turns what every step of a loop reads by its columns once, before the loop.
//
//   scan(…, %w) {                          %w.turned = transpose(%w, perm=[1, 0])
//     (…, %w : f32[8,32])              =>  scan(…, %w, %w.turned) {
//     matmul(%h, %w, transpose_b=true)       matmul(%h, %w.turned, transpose_b=false)
//
// A product of few rows takes longer to pack such an operand than its rows give back.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "ir/loop.h"
#include "ir/ops.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace slim {
namespace {

bool reads_columns(const Graph& body, const Node& node) {
  if (node.op != "matmul" || body.values[node.operands[1]].type.dims.size() != 2) return false;
  const auto found = node.attributes.find("transpose_b");
  return found != node.attributes.end() && std::get<bool>(found->second);
}

struct Turned {
  size_t operand;  // of the loop
  ValueId inside;  // the new parameter of the body
};

std::vector<Turned> turn(const LoopForm& form, Graph& body) {
  std::vector<Turned> turned;
  const auto first =
      body.parameters.begin() + static_cast<std::ptrdiff_t>(form.carried + form.scanned);
  const std::vector<ValueId> read(first, body.parameters.end());
  for (Node& node : body.nodes) {
    if (!reads_columns(body, node)) continue;
    const auto found = std::find(read.begin(), read.end(), node.operands[1]);
    if (found == read.end()) continue;
    const size_t operand = form.first_read() + static_cast<size_t>(found - read.begin());
    auto known = std::find_if(turned.begin(), turned.end(),
                              [&](const Turned& other) { return other.operand == operand; });
    if (known == turned.end()) {
      Value value = body.values[*found];
      std::swap(value.type.dims[0], value.type.dims[1]);
      const std::string name = Names(body).unique(value.name + ".turned");
      turned.push_back({operand, body.add_value(name, value.type)});
      body.parameters.push_back(turned.back().inside);
      known = turned.end() - 1;
    }
    node.operands[1] = known->inside;
    node.attributes = node.attributes.with("transpose_b", false);
  }
  return turned;
}

}  // namespace

void turn_operands(Body body) {
  Graph& graph = body.graph;
  Names names(graph);
  std::vector<Node> before = std::move(graph.nodes);
  graph.nodes.clear();
  for (Node& node : before) {
    if (node.op == "scan") {
      const LoopForm form({graph, node});
      for (const auto& [operand, inside] : turn(form, node.regions[0])) {
        const ValueId id = node.operands[operand];
        const ValueId made = graph.add_value(names.unique(graph.values[id].name + ".turned"),
                                             node.regions[0].values[inside].type);
        graph.nodes.push_back(
            {"transpose", {id}, {made}, {{"perm", std::vector<int64_t>{1, 0}}}, {}});
        node.operands.push_back(made);
      }
    }
    graph.nodes.push_back(std::move(node));
  }
}

}  // namespace slim
