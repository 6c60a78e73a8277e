// Recognizes add(acc, row), relu and relu_grad(acc, whole) in a matmul's region.
#include "cpu/gemm/epilogue.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

// A row over C's last axis.
bool is_row(const Buffer& buffer, const Buffer& c) {
  if (buffer.per_row > 0 || buffer.dims.empty() || buffer.dtype != c.dtype) return false;
  for (size_t i = 0; i + 1 < buffer.dims.size(); ++i) {
    if (buffer.dims[i] != 1) return false;
  }
  return buffer.dims.back() == c.dims.back();
}

bool is_whole(const Buffer& buffer, const Buffer& c) {
  return buffer.dims == c.dims && buffer.per_row == c.per_row && buffer.dtype == c.dtype;
}

}  // namespace

Epilogue find_epilogue(const Binding& binding) {
  Epilogue epilogue;
  if (binding.node.regions.empty()) return epilogue;
  const Graph& region = binding.node.regions[0];
  const Buffer& c = binding.results[0];
  epilogue.tape = true;
  if (region.returns.size() != 1 || region.nodes.empty() || region.nodes.size() > 2 ||
      region.returns[0] != region.nodes.back().results[0]) {
    return epilogue;
  }
  // Parameter i > 0 of the region is operand i + 1 of the matmul.
  const auto operand_of = [&](ValueId id) {
    for (size_t i = 1; i < region.parameters.size(); ++i) {
      if (region.parameters[i] == id) return static_cast<int>(i) + 1;
    }
    return -1;
  };
  Epilogue found;
  ValueId value = region.parameters[0];
  for (size_t i = 0; i < region.nodes.size(); ++i) {
    const Node& node = region.nodes[i];
    const bool last = i + 1 == region.nodes.size();
    if (node.op == "add" && i == 0 && (node.operands[0] == value) != (node.operands[1] == value)) {
      found.bias = operand_of(node.operands[node.operands[0] == value ? 1 : 0]);
      if (found.bias < 0 || !is_row(binding.operands[found.bias], c)) return epilogue;
    } else if (node.op == "relu" && last && node.operands[0] == value) {
      found.relu = true;
    } else if (node.op == "relu_grad" && last && i == 0 && node.operands[0] == value) {
      found.mask = operand_of(node.operands[1]);
      if (found.mask < 0 || !is_whole(binding.operands[found.mask], c)) return epilogue;
    } else {
      return epilogue;
    }
    value = node.results[0];
  }
  return found;
}

}  // namespace slim::SLIM_ISA_NAMESPACE
