// 3×3 convolutions with a quarter of the multiplications.
#pragma once

#include "kernels/kernel.h"

namespace slim::SLIM_ISA_NAMESPACE {

// Whether it is the faster way: a function of an image's shape.
bool fits_winograd(const Binding& binding, bool backward);
Prepared prepare_winograd(const Binding& binding, bool backward);
Packing winograd_packing(const Binding& binding, bool backward);

// The same of a pooled convolution.
bool fits_pooled_winograd(const Binding& binding);
Prepared prepare_pooled_winograd(const Binding& binding);
Packing pooled_winograd_packing(const Binding& binding);

// The same of the gradient of filters: few channels chunk by chunk, many in rounds of images whose
// transforms all tasks share.
bool sums_tiles(const Binding& binding);
Prepared prepare_tile_sums(const Binding& binding);
std::vector<int64_t> tile_sums_workspace(const Binding& binding);
bool sums_rounds(const Binding& binding);
Prepared prepare_round_sums(const Binding& binding);
std::vector<int64_t> round_sums_workspace(const Binding& binding);

}  // namespace slim::SLIM_ISA_NAMESPACE
