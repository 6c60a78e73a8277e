// What a matmul's region asks for: a finish of the register tile, or a tape over the C tile.
#pragma once

#include <optional>

#include "kernels/kernel.h"

namespace slim::SLIM_ISA_NAMESPACE {

// The finishes a register tile knows, in their order; operand indices of the matmul, -1: none.
struct Epilogue {
  int shift = -1, scale = -1, bias = -1, added = -1;
  std::optional<double> factor;  // instead of a scale: one for all columns
  bool relu = false;
  std::optional<double> cap;
  int mask = -1;
  bool tape = false;  // anything else
};

Epilogue find_epilogue(const Binding& binding);

}  // namespace slim::SLIM_ISA_NAMESPACE
