// The type rule of every op: checks the declared results against the operands.
#pragma once

#include "ir/ops.h"

namespace slim {

using TypeRule = void(const OpRow& row, const NodeView& view);

TypeRule type_elementwise;
#define OP(name, least, most, results, regions, attributes, traits, type_rule, row_rule) \
  TypeRule type_rule;
#define SPECIAL(name, operands, type_rule, row_rule) TypeRule type_rule;
#include "ir/elementwise.def"
#include "ir/ops.def"
#undef OP

// The shape that NumPy's rule gives; dims must be equal or meet a 1. False if they do not.
bool broadcast_dims(std::vector<Dim>& into, const std::vector<Dim>& other);
Dim count_of(const std::vector<Dim>& dims);

// Of the types that are computed in; those of sixteen bits are only kept.
inline bool is_float(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }

}  // namespace slim
