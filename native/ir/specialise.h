// Numbers in place of symbols: what sources tell about a function's sizes, before the passes.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "ir/graph.h"

namespace slim {

using Symbols = std::map<std::string, int64_t>;

// The symbols of a function's dimensions, in regions and extents too.
std::set<std::string> symbols_of(const Function& function);

// The function for these sizes; other symbols stay. Throws std::invalid_argument where a
// dimension overflows, is negative or divided by nothing, in the value's name.
Function specialise(Function function, const Symbols& symbols);

}  // namespace slim
