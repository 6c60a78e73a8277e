// 3×3 convolutions with a quarter of the multiplications.
#pragma once

#include "kernels/kernel.h"

namespace slim::SLIM_ISA_NAMESPACE {

// Whether it is the faster way: a function of an image's shape.
bool fits_winograd(const Binding& binding, bool backward);
Prepared prepare_winograd(const Binding& binding, bool backward);
Packing winograd_packing(const Binding& binding, bool backward);

// The same of the gradient of filters.
bool fits_winograd_filter_grad(const Binding& binding);
Prepared prepare_winograd_filter_grad(const Binding& binding);
std::vector<int64_t> winograd_filter_grad_workspace(const Binding& binding);

}  // namespace slim::SLIM_ISA_NAMESPACE
