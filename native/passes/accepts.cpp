// What every device is taken to run unless it says otherwise.
#include <algorithm>

#include "ir/ops.h"
#include "passes/passes.h"

namespace slim {

bool Accepts::accepts_elementwise(const Graph& graph, const Node& node) const {
  if (node.op == "constant") return true;
  if (node.op == "extent") {
    const Dim dim = Dim::parse(std::get<std::string>(node.attributes.at("dim")));
    return dim.constant() || dim.multiple_of("B") || dim.multiple_of("P");
  }
  const auto runs = [&](ValueId id) { return graph.values[id].type.dtype != DType::u8; };
  const bool runs_here = is_elementwise(node) || node.op == "broadcast";
  return runs_here && std::all_of(node.operands.begin(), node.operands.end(), runs) &&
         std::all_of(node.results.begin(), node.results.end(), runs);
}

// One type for the whole epilogue, comparisons aside. relu_grad alone is finished in a matmul's
// registers: with more behind it, a tape over the tile would cost more than a pass of its own.
bool Accepts::accepts_epilogue(const Node&, const Graph& region) const {
  if (region.nodes.size() > 1 && region.nodes[0].op == "relu_grad") return false;
  const DType product = region.values[region.parameters[0]].type.dtype;
  const auto fits = [&](ValueId id) { return region.values[id].type.dtype == product; };
  return std::all_of(region.values.begin(), region.values.end(),
                     [&](const Value& value) {
                       return value.type.dtype == product || value.type.dtype == DType::b8 ||
                              value.type.dims.empty();
                     }) &&
         std::all_of(region.returns.begin(), region.returns.end(), fits);
}

bool Accepts::accepts_reduction(const Graph& graph, const Node& node) const {
  return kFloats >> static_cast<int>(graph.values[node.results[0]].type.dtype) & 1u;
}

}  // namespace slim
