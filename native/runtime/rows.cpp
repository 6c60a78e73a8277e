// Follows the batch through a function, op by op.
#include "runtime/rows.h"

#include <algorithm>
#include <set>

namespace slim {
namespace {

const std::string kBatch = "B";

bool leads(const Type& type) {
  return !type.dims.empty() && type.dims[0].multiple_of(kBatch).has_value();
}

template <class T>
const T* attribute(const Node& node, const std::string& name) {
  const auto found = node.attributes.find(name);
  return found == node.attributes.end() ? nullptr : std::get_if<T>(&found->second);
}

bool has(const std::set<std::string>& names, const std::string& op) {
  return names.count(op) > 0;
}

// Linear over rows, element by element: a sum stays a sum.
bool keeps_sum(const Graph& graph, const Node& node) {
  static const std::set<std::string> ops = {"cast", "identity", "stop_gradient", "reshape", "add",
                                            "sub", "neg"};
  const DType dtype = graph.values[node.results[0]].type.dtype;
  return has(ops, node.op) && (dtype == DType::f32 || dtype == DType::f64);
}

// Reads nothing across its leading axis, provided the operands lead as the result does.
bool row_by_row(const Graph& graph, const Node& node, const std::vector<RowUse>& use) {
  static const std::set<std::string> whole = {"scatter_add", "orthogonal", "iota"};
  if (has(whole, node.op)) return false;
  const Type& result = graph.values[node.results[0]].type;
  if (!leads(result)) return false;
  const auto rows = [&](size_t i) { return use[node.operands[i]] == RowUse::row; };
  const auto type = [&](size_t i) -> const Type& { return graph.values[node.operands[i]].type; };
  if (node.op == "matmul") {
    const bool* flip = attribute<bool>(node, "transpose_a");
    const bool batched = type(1).dims.size() > 2;
    if (rows(0) && flip && *flip && !batched) return false;
    if (rows(1) && !batched) return false;
    return std::all_of(node.operands.begin() + 2, node.operands.end(), [&](ValueId id) {
      return use[id] == RowUse::free || leads(graph.values[id].type);
    });
  }
  if (node.op == "gather") return !rows(0);
  if (node.op == "reshape") {
    // Row-major: c rows of the result per row of the batch stay together.
    return leads(type(0));
  }
  if (const auto* axes = attribute<std::vector<int64_t>>(node, "axes")) {
    return std::find(axes->begin(), axes->end(), 0) == axes->end();
  }
  if (const auto* axis = attribute<int64_t>(node, "axis")) return *axis != 0;
  if (const auto* perm = attribute<std::vector<int64_t>>(node, "perm")) {
    return !perm->empty() && (*perm)[0] == 0;
  }
  if ((node.op == "softmax" || node.op == "log_softmax") && result.dims.size() < 2) return false;
  // Broadcasting aligns from the right: rows must lead in a result of their own rank.
  const bool elementwise_ranks = node.op != "sparse_softmax_cross_entropy" &&
                                 node.op != "sparse_softmax_cross_entropy_grad" &&
                                 node.op != "softmax_cross_entropy" && node.op != "one_hot";
  for (size_t i = 0; i < node.operands.size(); ++i) {
    if (!rows(i)) continue;
    if (!leads(type(i))) return false;
    for (const ValueId id : node.results) {
      const auto& dims = graph.values[id].type.dims;
      if (elementwise_ranks && dims.size() != type(i).dims.size()) return false;
    }
  }
  return true;
}

RowUse use_of(const Graph& graph, const Node& node, const std::vector<RowUse>& use) {
  if (node.op == "input") return leads(graph.values[node.results[0]].type) ? RowUse::row
                                                                           : RowUse::free;
  if (node.op == "extent") {
    const auto* dim = attribute<std::string>(node, "dim");
    return dim && Dim::parse(*dim).mentions(kBatch) ? RowUse::mixed : RowUse::free;
  }
  bool any_row = false, any_sum = false, any_free = false;
  for (const ValueId id : node.operands) {
    if (use[id] == RowUse::mixed) return RowUse::mixed;
    any_row |= use[id] == RowUse::row;
    any_sum |= use[id] == RowUse::sum;
    any_free |= use[id] == RowUse::free;
  }
  if (any_sum) {
    return keeps_sum(graph, node) && !any_row && !any_free ? RowUse::sum : RowUse::mixed;
  }
  const bool leading = leads(graph.values[node.results[0]].type);
  if (!any_row && !leading) return RowUse::free;
  if (row_by_row(graph, node, use)) return RowUse::row;
  if (node.op == "reduce_sum" && leads(graph.values[node.operands[0]].type) && !leading) {
    return RowUse::sum;
  }
  return RowUse::mixed;
}

}  // namespace

RowAnalysis analyze_rows(const Function& function) {
  const Graph& graph = function.graph;
  std::vector<RowUse> use(graph.values.size(), RowUse::free);
  for (const Node& node : graph.nodes) {
    const RowUse result = use_of(graph, node, use);
    for (const ValueId id : node.results) use[id] = result;
  }
  RowAnalysis analysis;
  for (const ValueId id : graph.returns) {
    analysis.returns.push_back(use[id]);
    analysis.chunkable &= use[id] != RowUse::mixed;
  }
  for (const auto* list : {&function.sets, &function.grads}) {
    for (const Assignment& assignment : *list) {
      analysis.chunkable &= use[assignment.value] == RowUse::free;
    }
  }
  return analysis;
}

bool leads_everywhere(const Function& function, const std::string& symbol) {
  for (const Value& value : function.graph.values) {
    const auto& dims = value.type.dims;
    for (size_t i = 0; i < dims.size(); ++i) {
      if (dims[i].constant()) continue;
      if (i > 0 || !dims[i].multiple_of(symbol)) return false;
    }
  }
  return true;
}

}  // namespace slim
