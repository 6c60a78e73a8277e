// Reads the region from its first node to its last.
#include "cuda/pointwise.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>

#include "ir/ops.h"

namespace slim::cuda {
namespace {

using StepKind = PointwiseStep::Kind;

struct RegionStep {
  StepKind kind;
  size_t other = 0;  // the operand that is not the value before
};

const Type& type_of(const Graph& region, ValueId id) {
  return region.values[static_cast<size_t>(id)].type;
}

std::optional<RegionStep> step_of(const Graph& region, const Node& node, ValueId before) {
  const size_t count = node.operands.size();
  const auto reads = [&](size_t place) { return place < count && node.operands[place] == before; };
  if (reads(0) && node.op == "relu") return RegionStep{StepKind::relu};
  if (reads(0) && rounded_to(node) == type_of(region, node.results[0]).dtype) {
    return RegionStep{StepKind::round};
  }
  if (count != 2 || reads(0) == reads(1)) return std::nullopt;
  const size_t other = reads(0) ? 1 : 0;
  if (node.op == "add") return RegionStep{StepKind::add, other};
  if (node.op == "mul") return RegionStep{StepKind::multiply, other};
  if (node.op == "sub" && other == 1) return RegionStep{StepKind::subtract, other};
  return std::nullopt;
}

// Where an id is in a list; its size: nowhere.
size_t place_in(const std::vector<ValueId>& list, ValueId id) {
  return static_cast<size_t>(std::find(list.begin(), list.end(), id) - list.begin());
}

}  // namespace

// For measurements a variable says no.
PointwiseChain chain_behind(const Binding& binding) {
  const char* wish = std::getenv("SLIM_CUDA_DNN_BEHIND");
  if (binding.node.op != "convolution" || binding.node.regions.empty() ||
      (wish != nullptr && wish == std::string("0"))) {
    return {};
  }
  const Graph& region = binding.node.regions[0];
  const auto own = static_cast<size_t>(op_row(binding.node).least_operands);
  PointwiseChain chain;
  ValueId value = region.parameters[0];
  for (const Node& node : region.nodes) {
    // What is of sixteen bits nothing goes on with.
    const auto step = step_of(region, node, value);
    if (!step || type_of(region, value).dtype != DType::f32) return {};
    value = node.results[0];
    if (node.operands.size() == 2) {
      const size_t place = place_in(region.parameters, node.operands[step->other]);
      if (place == 0 || place == region.parameters.size()) return {};
      chain.read.push_back(binding.operands[own + place - 1]);
      const Buffer& read = chain.read.back();
      const bool is_row = read.dims.size() == 1 && read.dims[0] == binding.results[0].dims.back();
      if (read.dtype != DType::f32 || read.per_row > 0 || !is_row) return {};
    }
    const size_t result = place_in(region.returns, value);
    const bool is_result = result < region.returns.size();
    if (is_result) chain.results.push_back(binding.results[result]);
    const DType dtype = type_of(region, value).dtype;
    if (dtype != DType::f32 && step->kind != StepKind::round) return {};
    chain.steps.push_back({step->kind, dtype, is_result});
  }
  if (chain.results.size() != binding.results.size()) return {};
  return chain;
}

}  // namespace slim::cuda
