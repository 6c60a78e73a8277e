// Sums over rows that lie apart, all in one call: stencils.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/tape/tape_chains.h"

namespace slim::SLIM_ISA_NAMESPACE {

struct SumRows {
  std::byte* dst;
  const std::byte* const* src;  // as of sum_kernel
  int64_t step;                 // bytes from a row to the next, of all but the numbers
  int64_t n, rows;              // elements of a row
  size_t terms;                 // of sum_kernel
  bool moves;
};

// Whether it did: only of float32, on levels with registers enough, and of rows that lie alike.
bool sum_rows(const SumRows& sum);

}  // namespace slim::SLIM_ISA_NAMESPACE
