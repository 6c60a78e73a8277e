// Sums of what is never stored: fused regions of a sum of products, or of two sums that read
// one value.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/kernel.h"

namespace slim::SLIM_ISA_NAMESPACE {

// What a region comes down to: a reduction of these operands to these results.
struct RegionSums {
  enum Kind {
    products,       // of a and b
    squares,        // of a
    with_products,  // of a, and of a·b
    with_squares,   // of a, and of a²
    moments,        // of a, and of its squares around its mean
  };
  Kind kind;
  Node sum;
  std::vector<Buffer> operands, results;
};

// Nothing if the fused node is a tape.
std::optional<RegionSums> read_region_sums(const Binding& binding);

std::vector<int64_t> region_sums_workspace(const Binding& binding);
Prepared prepare_region_sums(const Binding& binding);

}  // namespace slim::SLIM_ISA_NAMESPACE
