// What a matmul's region asks for: a finish of the register tile, or a tape over the C tile.
#pragma once

#include "kernels/kernel.h"

namespace slim::SLIM_ISA_NAMESPACE {

// The finishes a register tile knows; operand indices of the matmul, -1: none.
struct Epilogue {
  int bias = -1;
  bool relu = false;
  int mask = -1;
  bool tape = false;  // anything else
};

Epilogue find_epilogue(const Binding& binding);

}  // namespace slim::SLIM_ISA_NAMESPACE
