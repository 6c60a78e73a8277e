// The tape's instructions as loops over registers in L1.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/tape.h"

namespace slim::SLIM_ISA_NAMESPACE {

// dst[i] = f(a[i], b[i], c[i]) for i < n. Whole vectors are read: registers are padded. dst
// may be an operand, element for element.
using TapeKernel = void (*)(std::byte* dst, const std::byte* a, const std::byte* b,
                            const std::byte* c, int64_t n);

// Copies of a scalar that a register holds: the vector loops read whole vectors of it.
inline constexpr int64_t kScalarCopies = 16;

// `from` is the operands' type (of select: a's and b's), `to` the result's. Bit i of
// `scalars`: operand i is a scalar register. Null: no such op for these types.
TapeKernel tape_kernel(Operation op, DType from, DType to, unsigned scalars);

// Two instructions in one pass, rounded as two: second(first(a, b), c), or, if swapped,
// second(c, first(a, b)). Only b and c may be scalar. Null for a pair not worth it.
TapeKernel tape_pair_kernel(Operation first, Operation second, bool swapped, DType type,
                            unsigned scalars);

}  // namespace slim::SLIM_ISA_NAMESPACE
