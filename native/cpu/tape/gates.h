// The gates of an LSTM's step, and the way back through them: each one pass over what it reads.
#pragma once

#include <optional>

#include "kernels/kernel.h"

namespace slim::SLIM_ISA_NAMESPACE {

// Nothing if the fused node is another one.
std::optional<Prepared> prepare_gates(const Binding& binding);

}  // namespace slim::SLIM_ISA_NAMESPACE
