// The gate for every program that runs: what passes here has types that kernels may trust.
#pragma once

#include "ir/graph.h"

namespace slim {

// Native never infers, it checks. Throws std::invalid_argument "[op name] needed, came".
void verify(const Program& program);
void verify(const Function& function, const Program& program);

}  // namespace slim
