// What prepare functions ask of operands and results. Types and shapes are verified, before
// any plan and again behind the passes: kernels trust them. Refused is what only the numbers of
// a plan can tell: an axis that has no elements, or that grows with the rows where it must not.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "kernels/kernel.h"

// A promise of the verifier, asked again where sanitizers are at work; no code elsewhere.
#ifdef SLIM_SANITIZE
#define SLIM_ASSERT(condition)                                                 \
  do {                                                                         \
    if (!(condition)) {                                                        \
      std::fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                            \
    }                                                                          \
  } while (false)
#else
#define SLIM_ASSERT(condition) static_cast<void>(sizeof(condition))
#endif

namespace slim::SLIM_ISA_NAMESPACE {

inline std::string operand_text(const Binding& binding, size_t i) {
  return to_string(binding.graph.values[binding.node.operands[i]].type);
}

inline std::string result_text(const Binding& binding, size_t i = 0) {
  return to_string(binding.graph.values[binding.node.results[i]].type);
}

inline bool is_float(const Buffer& buffer) {
  return buffer.dtype == DType::f32 || buffer.dtype == DType::f64;
}

// The same number for every row count.
inline bool same_dim(const Buffer& a, size_t i, const Buffer& b, size_t j) {
  return a.dims[i] == b.dims[j] && (i == 0 ? a.per_row : 0) == (j == 0 ? b.per_row : 0);
}

inline bool same_shape(const Buffer& a, const Buffer& b) {
  return a.dims == b.dims && a.per_row == b.per_row;
}

inline void require_elements(const Binding& binding, const Buffer& buffer, size_t axis) {
  if (buffer.dims[axis] > 0) return;
  binding.refuse("axis " + std::to_string(axis) + " of its " +
                 (&buffer == &binding.results[0] ? "result " + result_text(binding)
                                                 : "operand " + operand_text(binding, 0)) +
                 " has no elements for these rows");
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

inline size_t axis_of(const Binding& binding) {
  return static_cast<size_t>(binding.integer("axis", 0));
}

}  // namespace slim::SLIM_ISA_NAMESPACE
