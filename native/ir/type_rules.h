// The type rule of every op: checks the declared results against the operands.
#pragma once

#include "ir/ops.h"

namespace slim {

using TypeRule = void(const OpRow& row, const NodeView& view);

TypeRule type_elementwise, type_cast, type_select, type_input, type_constant, type_constant_list,
    type_extent, type_iota, type_matmul, type_reduce_number, type_reduce_float, type_argmax,
    type_softmax, type_sparse_cross_entropy, type_sparse_cross_entropy_grad, type_cross_entropy,
    type_reshape, type_transpose, type_broadcast, type_concat, type_slice, type_pad, type_gather,
    type_scatter_add, type_one_hot, type_random, type_dropout, type_orthogonal, type_fused,
    type_csr_matmul, type_csr_transpose;

// The shape that NumPy's rule gives; dims must be equal or meet a 1. False if they do not.
bool broadcast_dims(std::vector<Dim>& into, const std::vector<Dim>& other);
Dim count_of(const std::vector<Dim>& dims);

}  // namespace slim
