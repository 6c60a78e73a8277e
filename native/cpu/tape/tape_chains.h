// Trees of instructions that optimizers and stencils are made of, each one pass over L1.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/tape.h"

namespace slim::SLIM_ISA_NAMESPACE {

inline constexpr int kFewestTerms = 3, kChainTerms = 9;       // of a sum: a stencil of 3×3
inline constexpr int kChainOperands = 2 * (kChainTerms + 1);  // and what it moves
inline constexpr int kChainResults = 3;

// The i-th elements of the results from those of the operands; each operation is rounded on
// its own. A result may lie where an operand does, element for element.
using ChainKernel = void (*)(std::byte* const* dst, const std::byte* const* src, int64_t n);

// a·s + b·t + c·u …, from the left, of so many terms; or, if `moves`, x + that·v, x and v last.
template <class T>
ChainKernel sum_kernel(size_t terms, bool moves);

// In the place of an operand of a chain: a number.
struct ChainNumber {
  size_t operand;
  double value;
};

struct Chain {
  ChainKernel kernel;
  std::vector<int32_t> src;
  std::vector<size_t> inner;  // instructions it takes along
  std::vector<int32_t> also;  // results of these that others see
  std::vector<ChainNumber> numbers = {};
  size_t terms = 0;  // of a sum
  bool moves = false;
};

// The chain that ends in code[root]. Instructions whose value has `once` one reader can be
// taken along: those that are `lone`, which nobody else sees and whose operands do not change
// before the root; or all from some instruction on.
std::optional<Chain> find_chain(const std::vector<Instruction>& code, size_t root,
                                const std::vector<bool>& lone, const std::vector<bool>& once,
                                const std::vector<TapeRegister>& registers);

}  // namespace slim::SLIM_ISA_NAMESPACE
