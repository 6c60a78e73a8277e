// What type rules ask of a node; each refuses in the node's name.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "ir/ops.h"

namespace slim::typing {

// "a is f32[B,20], b is f32[3]"
std::string operands_text(const NodeView& v);
bool in(DTypes set, DType dtype);
// Operand i has a type of the set.
void need_dtype(const NodeView& v, size_t i, DTypes set);
// All operands from `first` on have one type.
void need_equal_dtypes(const NodeView& v, size_t first = 0);
void need_rank(const NodeView& v, size_t i, size_t least);
// The result is declared with a type of the set.
void need_result_dtype(const NodeView& v, DTypes set);
// The result is declared as exactly this.
void need_result(const NodeView& v, const Type& needed, size_t i = 0);
void need_result(const NodeView& v, DType dtype, const std::vector<Dim>& dims);
// The axis is not known to be empty.
void need_elements(const NodeView& v, size_t axis);
// The attribute's number, once it is an axis of operand 0.
size_t need_axis(const NodeView& v, const char* key, int64_t axis);
// The dimensions but the last so many.
std::vector<Dim> prefix(const Type& type, size_t drop_last);
// An input of sparse rows.
void check_sparse_input(const NodeView& v);
// The operand, the axes, keepdims and the result of a reduction.
void check_reduce(const NodeView& v, DTypes accepts);
// A region's parameters from `first` on are the operands from `operand` on.
void check_parameters(const NodeView& v, const Graph& region, size_t first, size_t operand);
// A region's yields are the results.
void check_yields(const NodeView& v, const Graph& region);
// The results of an op with the trait kEpilogue, once its product is this: the product, or
// what its region makes of it and of the operands after the op's own.
void check_epilogue(const NodeView& v, const Type& product);

}  // namespace slim::typing
