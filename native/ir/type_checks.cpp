// The checks of type rules, and the words of their refusals.
#include "ir/type_checks.h"

#include <algorithm>

namespace slim::typing {
namespace {

std::string letter(size_t i) { return std::string(1, static_cast<char>('a' + i % 26)); }

std::string names_of(DTypes set) {
  std::string text;
  for (int i = 0; i <= static_cast<int>(DType::u8); ++i) {
    if (!in(set, static_cast<DType>(i))) continue;
    text += (text.empty() ? "" : " or ") + std::string(name_of(static_cast<DType>(i)));
  }
  return text;
}

}  // namespace

std::string operands_text(const NodeView& v) {
  std::string text;
  for (size_t i = 0; i < v.node.operands.size(); ++i) {
    text += (i > 0 ? ", " : "") + letter(i) + " is " + to_string(v.operand(i));
  }
  return text;
}

bool in(DTypes set, DType dtype) { return (set >> static_cast<int>(dtype) & 1u) != 0; }

void need_dtype(const NodeView& v, size_t i, DTypes set) {
  if (in(set, v.operand(i).dtype)) return;
  v.refuse(letter(i) + " is " + to_string(v.operand(i)) + ", needs " + names_of(set));
}

void need_equal_dtypes(const NodeView& v, size_t first) {
  for (size_t i = first + 1; i < v.node.operands.size(); ++i) {
    if (v.operand(i).dtype != v.operand(first).dtype) {
      v.refuse("operands differ in type: " + operands_text(v));
    }
  }
}

void need_rank(const NodeView& v, size_t i, size_t least) {
  if (v.operand(i).dims.size() >= least) return;
  v.refuse(letter(i) + " is " + to_string(v.operand(i)) + ", needs rank " + std::to_string(least) +
           " or more");
}

void need_result_dtype(const NodeView& v, DTypes set) {
  if (in(set, v.result(0).dtype)) return;
  v.refuse("the result is " + to_string(v.result(0)) + ", needs " + names_of(set));
}

void need_result(const NodeView& v, DType dtype, const std::vector<Dim>& dims) {
  need_result(v, {dtype, dims});
}

void need_result(const NodeView& v, const Type& needed, size_t i) {
  if (v.result(i) == needed) return;
  const std::string operands = v.node.operands.empty() ? "" : ": " + operands_text(v);
  v.refuse("the result is " + to_string(needed) + ", declared as " + to_string(v.result(i)) +
           operands);
}

void need_elements(const NodeView& v, size_t axis) {
  if (v.operand(0).dims[axis].constant() != 0) return;
  v.refuse("axis " + std::to_string(axis) + " of " + to_string(v.operand(0)) + " has no elements");
}

size_t need_axis(const NodeView& v, const char* key, int64_t axis) {
  const size_t rank = v.operand(0).dims.size();
  if (axis < 0 || axis >= static_cast<int64_t>(rank)) {
    v.refuse(std::string(key) + " " + std::to_string(axis) + " is not an axis of " +
             to_string(v.operand(0)));
  }
  return static_cast<size_t>(axis);
}

std::vector<Dim> prefix(const Type& type, size_t drop_last) {
  return {type.dims.begin(), type.dims.end() - static_cast<int64_t>(drop_last)};
}

void check_reduce(const NodeView& v, DTypes accepts) {
  need_dtype(v, 0, accepts);
  const std::vector<int64_t>& axes = v.integers("axes");
  for (size_t i = 0; i < axes.size(); ++i) {
    need_axis(v, "axes", axes[i]);
    if (i > 0 && axes[i] <= axes[i - 1]) v.refuse("axes must rise");
  }
  std::vector<Dim> dims;
  for (size_t i = 0; i < v.operand(0).dims.size(); ++i) {
    if (!std::binary_search(axes.begin(), axes.end(), static_cast<int64_t>(i))) {
      dims.push_back(v.operand(0).dims[i]);
    } else if (v.flag("keepdims")) {
      dims.push_back(Dim(1));
    }
  }
  need_result(v, v.operand(0).dtype, dims);
}

void check_parameters(const NodeView& v, const Graph& region, size_t first, size_t operand) {
  if (region.parameters.size() - first != v.node.operands.size() - operand) {
    v.refuse("the region takes " + std::to_string(region.parameters.size()) +
             " values, the operands do not match");
  }
  for (size_t i = first; i < region.parameters.size(); ++i) {
    const Type& inner = region.values[region.parameters[i]].type;
    const Type& outer = v.operand(operand + i - first);
    if (inner != outer) {
      v.refuse("the region's %" + region.values[region.parameters[i]].name + " is " +
               to_string(inner) + ", its operand is " + to_string(outer));
    }
  }
}

void check_yields(const NodeView& v, const Graph& region) {
  if (region.returns.size() != v.node.results.size() || region.returns.empty()) {
    v.refuse("the region yields " + std::to_string(region.returns.size()) + " values for " +
             std::to_string(v.node.results.size()) + " results");
  }
  for (size_t i = 0; i < region.returns.size(); ++i) {
    const Type& inner = region.values[region.returns[i]].type;
    if (inner != v.result(i)) {
      v.refuse("result " + std::to_string(i) + " is " + to_string(inner) + " in the region, " +
               to_string(v.result(i)) + " outside");
    }
  }
}

void check_epilogue(const NodeView& v, const Type& product) {
  const size_t own = op_row(v.node).least_operands;
  if (v.node.regions.empty()) {
    if (v.node.operands.size() == own) return need_result(v, product);
    v.refuse("takes " + std::to_string(own) + " operands without a region");
  }
  const Graph& region = v.node.regions[0];
  if (!is_dense(product) || region.parameters.empty() ||
      region.values[region.parameters[0]].type != product) {
    v.refuse("the region's first parameter must be the dense product, " + to_string(product));
  }
  for (size_t i = own; i < v.node.operands.size(); ++i) {
    if (!is_dense(v.operand(i))) v.refuse("the region takes dense values: " + operands_text(v));
  }
  check_parameters(v, region, 1, own);
  check_yields(v, region);
  for (size_t i = 0; i < v.node.results.size(); ++i) {
    const Type needed{v.result(i).dtype, product.dims};
    if (v.result(i) == needed) continue;
    v.refuse("the region yields " + to_string(v.result(i)) + ", needs the shape of " +
             to_string(product));
  }
}

}  // namespace slim::typing
