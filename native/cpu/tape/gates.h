// A step of an LSTM or a GRU, and the way back through it: each one pass over what it reads.
#pragma once

#include <optional>

#include "kernels/kernel.h"

namespace slim::SLIM_ISA_NAMESPACE {

// Nothing if the fused node is another one.
std::optional<Prepared> prepare_gates(const Binding& binding);

}  // namespace slim::SLIM_ISA_NAMESPACE
