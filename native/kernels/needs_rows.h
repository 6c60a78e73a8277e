// Why a plan for any number of rows is refused where one for a known number may not be.
#pragma once

#include <stdexcept>

namespace slim {

// Thrown by a kernel one of whose operands or results grows with the rows.
struct NeedsRows : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

}  // namespace slim
