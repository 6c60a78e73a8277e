// Sums of products that are never stored: a fused region of one product and its sum.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernel.h"

namespace slim::SLIM_ISA_NAMESPACE {

bool is_product_sum(const Binding& binding);  // of a fused node
std::vector<int64_t> product_sum_workspace(const Binding& binding);
Prepared prepare_product_sum(const Binding& binding);

}  // namespace slim::SLIM_ISA_NAMESPACE
