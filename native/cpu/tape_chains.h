// Trees of three to five instructions that optimizers are made of, each one pass over L1.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/tape.h"

namespace slim::SLIM_ISA_NAMESPACE {

inline constexpr int kChainOperands = 5;

// dst[i] of the operands' i-th elements; each operation is rounded on its own. dst may be an
// operand, element for element.
using ChainKernel = void (*)(std::byte* dst, const std::byte* const* src, int64_t n);

struct Chain {
  ChainKernel kernel;
  std::array<int32_t, kChainOperands> src;
  std::vector<size_t> inner;  // instructions it takes along
};

// The chain that ends in code[root]. Only instructions of which `lone` holds can be taken
// along: their value has one reader and nothing that they read changes before it.
std::optional<Chain> find_chain(const std::vector<Instruction>& code, size_t root,
                                const std::vector<bool>& lone,
                                const std::vector<TapeRegister>& registers);

}  // namespace slim::SLIM_ISA_NAMESPACE
