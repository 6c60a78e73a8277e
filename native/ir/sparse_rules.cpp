// The type rules of sparse rows: inputs, the product, the transpose, rows with a 1 each.
#include <cstdint>

#include "ir/type_checks.h"
#include "ir/type_rules.h"

namespace slim {

using namespace typing;

void typing::check_sparse_input(const NodeView& v) {
  need_result_dtype(v, kFloats);
  const Type& result = v.result(0);
  if (result.storage != Storage::csr || result.dims.size() != 2 ||
      result.dims[0] != Dim::symbol("B") || !result.dims[1].constant() ||
      v.node.attributes.count("columns") != 0) {
    v.refuse("sparse rows are csr f32[B,n] or csr f64[B,n] with all columns, not " +
             to_string(result));
  }
  // Columns are stored in 32 bits.
  if (*result.dims[1].constant() > INT32_MAX) {
    v.refuse("sparse rows have at most 2147483647 columns, not " + result.dims[1].str());
  }
}

void type_csr_matmul(const OpRow&, const NodeView& v) {
  const Type &a = v.operand(0), &b = v.operand(1), &result = v.result(0);
  if (a.storage != Storage::csr || !is_dense(b) || b.dims.size() != 2 || a.dtype != b.dtype) {
    v.refuse("multiplies csr [m,k] by a matrix [k,n] of its type: " + operands_text(v));
  }
  if (a.dims[1] != b.dims[0]) v.refuse("inner dimensions differ: " + operands_text(v));
  if (result.storage == Storage::csr || (!is_dense(result) && !a.dims[0].constant())) {
    v.refuse("gives a dense matrix, or rows of a matrix of fixed height, not " + to_string(result));
  }
  check_epilogue(v, {a.dtype, {a.dims[0], b.dims[1]}, result.storage});
}

void type_csr_transpose(const OpRow&, const NodeView& v) {
  const Type& a = v.operand(0);
  if (a.storage != Storage::csr) v.refuse("transposes csr [m,k]: " + operands_text(v));
  need_result(v, {a.dtype, {a.dims[1], a.dims[0]}, Storage::csr});
}

void type_csr_one_hot(const OpRow&, const NodeView& v) {
  const Type &ids = v.operand(0), &result = v.result(0);
  const int64_t columns = result.dims.size() == 2 ? result.dims[1].constant().value_or(0) : 0;
  if (!is_dense(ids) || !in(kIntegers, ids.dtype) || ids.dims.size() != 1 ||
      result.storage != Storage::csr || columns < 1 || columns > INT32_MAX ||
      result.dims[0] != ids.dims[0]) {
    v.refuse("needs ids [n] and a result csr [n,k], k from 1 to 2147483647: " + operands_text(v) +
             ", result " + to_string(result));
  }
  need_result_dtype(v, kFloats);
}

}  // namespace slim
