// What follows a convolution and a library does in the same kernel.
#pragma once

#include <vector>

#include "cuda/convolutions.h"
#include "kernels/kernel.h"

namespace slim::cuda {

struct PointwiseChain {
  std::vector<PointwiseStep> steps;
  std::vector<Buffer> read, results;  // of the steps that have such, in order
};

// The region of a forward convolution as a chain: biases, norms of known moments, relu, rounding.
// Empty where it is something else, too.
PointwiseChain chain_behind(const Binding& binding);

}  // namespace slim::cuda
