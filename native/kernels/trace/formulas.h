// The rows of ir/elementwise.def as expressions.
#pragma once

#include <vector>

#include "kernels/tape.h"
#include "kernels/trace/expression.h"

namespace slim {

// What an op computes from arguments of one type (of select: the second and third). Null: it
// has no kernel for that type either. A cast goes to `to`.
Term formula_of(Operation op, DType from, DType to, const std::vector<Term>& arguments);

}  // namespace slim
