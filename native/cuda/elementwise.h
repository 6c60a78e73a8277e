// Kernels from regions of elementwise ops.
#pragma once

#include <vector>

#include "cuda/launch.h"

namespace slim::cuda {

KernelText tape_text(const Binding& binding, const Graph& region,
                     const std::vector<Buffer>& operands, const std::vector<Buffer>& results);

}  // namespace slim::cuda
