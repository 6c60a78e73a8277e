// Convolutions whose groups have one channel each: vectors over channels, without a product.
#pragma once

#include "cpu/conv/geometry.h"
#include "kernels/kernel.h"

namespace slim::SLIM_ISA_NAMESPACE {

// More taps would need their sum in blocks (kFoldK), and hardly exist.
inline constexpr int64_t kMostDepthwiseTaps = 256;

inline bool is_depthwise(const FilterGeometry& geometry) {
  return geometry.groups > 1 && geometry.channels == 1 && geometry.taps() <= kMostDepthwiseTaps;
}

Prepared prepare_depthwise(const Binding& binding, bool backward);
// Where pixels lie so far apart that those of a window share few sets of L1.
bool fits_boxes(const Binding& binding, bool backward);
Prepared prepare_depthwise_boxes(const Binding& binding, bool backward);
Prepared prepare_depthwise_filter_grad(const Binding& binding);
std::vector<int64_t> depthwise_filter_grad_workspace(const Binding& binding);

}  // namespace slim::SLIM_ISA_NAMESPACE
