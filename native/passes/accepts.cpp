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
// Initial values are drawn as f64, and end as what the weights are.
bool Accepts::accepts_epilogue(const Node& node, const Graph& region) const {
  if (op_row(node).has(kRandom)) {
    const std::vector<Dim>& dims = region.values[region.parameters[0]].type.dims;
    return !dims.empty() && std::all_of(dims.begin(), dims.end(),
                                        [](const Dim& dim) { return dim.constant().has_value(); });
  }
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

// 3×3 filters of few channels, or of whole vectors of them on every level, and the largest of each
// 2×2: there kernels gain from the three places of four that give nothing back. From 256 channels
// on the gradients by minimal filtering are as fast.
bool Accepts::accepts_pooling(const Graph& graph, const Node& convolution, const Node& pool) const {
  constexpr int64_t kFewChannels = 4, kUnit = 16, kMost = 128;
  const auto list = [](const Node& node, const char* key) {
    return std::get<std::vector<int64_t>>(node.attributes.at(key));
  };
  const std::vector<int64_t> one = {1, 1}, two = {2, 2};
  const Type& filters = graph.values[convolution.operands[1]].type;
  if (filters.dtype != DType::f32 || filters.dims.size() != 4 || filters.dims[0] != Dim(3) ||
      filters.dims[1] != Dim(3) || list(convolution, "strides") != one ||
      list(convolution, "dilations") != one ||
      std::get<int64_t>(convolution.attributes.at("groups")) != 1) {
    return false;
  }
  if (list(pool, "kernel") != two || list(pool, "strides") != two ||
      list(pool, "dilations") != one || list(pool, "padding") != std::vector<int64_t>(4, 0)) {
    return false;
  }
  const auto channels = filters.dims[2].constant(), outputs = filters.dims[3].constant();
  const auto fits = [&](int64_t n) { return n % kUnit == 0 && n <= kMost; };
  return channels && outputs && (*channels <= kFewChannels || fits(*channels)) && fits(*outputs);
}

}  // namespace slim
