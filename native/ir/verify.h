// The gate for every program that runs: what passes here has types that kernels may trust.
#pragma once

#include <string>

#include "ir/graph.h"

namespace slim {

// The functions that update parameters: "update", and where there are several optimizers
// "update.2" and so on.
std::string update_name(int64_t index);
bool is_update(const std::string& function);

// Native never infers, it checks. Throws std::invalid_argument "[op name] needed, came".
void verify(const Program& program);
void verify(const Function& function, const Program& program);

}  // namespace slim
