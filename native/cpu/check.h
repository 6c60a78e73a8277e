// What prepare functions ask of operands and results, with one wording for what is refused.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/kernel.h"

namespace slim::SLIM_ISA_NAMESPACE {

inline std::string operand_text(const Binding& binding, size_t i) {
  return to_string(binding.graph.values[binding.node.operands[i]].type);
}

inline std::string result_text(const Binding& binding, size_t i = 0) {
  return to_string(binding.graph.values[binding.node.results[i]].type);
}

inline void require_arity(const Binding& binding, size_t operands) {
  if (binding.operands.size() != operands || binding.results.size() != 1) {
    binding.refuse("needs " + std::to_string(operands) + " operands and 1 result, got " +
                   std::to_string(binding.operands.size()) + " and " +
                   std::to_string(binding.results.size()));
  }
}

inline bool is_float(const Buffer& buffer) {
  return buffer.dtype == DType::f32 || buffer.dtype == DType::f64;
}

inline bool is_index(const Buffer& buffer) {
  return buffer.dtype == DType::i32 || buffer.dtype == DType::i64;
}

inline void require_float(const Binding& binding, size_t operand) {
  if (!is_float(binding.operands[operand])) {
    binding.refuse("needs f32 or f64, got " + operand_text(binding, operand));
  }
}

// The same number for every row count.
inline bool same_dim(const Buffer& a, size_t i, const Buffer& b, size_t j) {
  return a.dims[i] == b.dims[j] && (i == 0 ? a.per_row : 0) == (j == 0 ? b.per_row : 0);
}

// dims [first, last) of a are dims [first + shift, last + shift) of b.
inline bool same_dims(const Buffer& a, const Buffer& b, size_t first, size_t last,
                      size_t shift = 0) {
  for (size_t i = first; i < last; ++i) {
    if (!same_dim(a, i, b, i + shift)) return false;
  }
  return true;
}

inline bool same_shape(const Buffer& a, const Buffer& b) {
  return a.dims.size() == b.dims.size() && same_dims(a, b, 0, a.dims.size());
}

inline void require_result_like(const Binding& binding, size_t operand) {
  if (!same_shape(binding.operands[operand], binding.results[0]) ||
      binding.operands[operand].dtype != binding.results[0].dtype) {
    binding.refuse("the result is " + result_text(binding) + ", it must be " +
                   operand_text(binding, operand) + " as operand " + std::to_string(operand + 1));
  }
}

// A last axis of fixed length, 1 at least, under which the rows lie.
inline void require_last_axis(const Binding& binding) {
  const Buffer& logits = binding.operands[0];
  if (logits.dims.empty() || logits.dims.back() < 1 ||
      (logits.dims.size() == 1 && logits.per_row > 0)) {
    binding.refuse("needs a last axis of fixed length, got " + operand_text(binding, 0));
  }
}

// Calls with a zero of the type, of which the operand is: f32, f64, i32 or i64.
template <class Function>
auto with_number(DType dtype, Function function) {
  switch (dtype) {
    case DType::f64:
      return function(double{});
    case DType::i32:
      return function(int32_t{});
    case DType::i64:
      return function(int64_t{});
    default:
      return function(float{});
  }
}

// The attribute `axis` as an index below `rank`.
inline size_t axis_of(const Binding& binding, int64_t rank) {
  const int64_t axis = binding.integer("axis", -1);
  if (axis < 0 || axis >= rank) {
    binding.refuse("axis must lie in [0, " + std::to_string(rank) + "), got " +
                   std::to_string(axis));
  }
  return static_cast<size_t>(axis);
}

}  // namespace slim::SLIM_ISA_NAMESPACE
