// Sums of products that are never stored: a fused region of one product and its sum.
#pragma once

#include <memory>

#include "kernels/kernel.h"

namespace slim::SLIM_ISA_NAMESPACE {

// Null if the node's region is another.
std::unique_ptr<Launch> prepare_product_sum(const Binding& binding);

}  // namespace slim::SLIM_ISA_NAMESPACE
