// Operands of sixteen bits for a library that multiplies none of such a shape.
#pragma once

#include "cuda/library.h"

namespace slim::cuda {

// `library` is given float32 copies of the node's two operands.
std::unique_ptr<ByLibrary> widened(std::unique_ptr<ByLibrary> library);

}  // namespace slim::cuda
