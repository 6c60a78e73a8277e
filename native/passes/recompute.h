// What is computed anew where it is read, for less than storing it costs.
#pragma once

#include <vector>

#include "passes/passes.h"

namespace slim {

// By node: one instruction from one value that is stored anyway, which only later stages read.
std::vector<bool> recomputed(const Body& body, const Accepts& device);

}  // namespace slim
