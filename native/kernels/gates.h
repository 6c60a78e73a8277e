// The regions that an LSTM's step and the way back through it are. Device-independent.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "kernels/kernel.h"

namespace slim {

// Where a value of such a region lies.
struct GatePlace {
  Base base = Base::scratch;
  int64_t offset = 0, row = 0;  // bytes; elements from row to row
  bool there = false;
};

struct Gates {
  // What the values are, operands first, in the letters of gates.cpp.
  static constexpr char kStep[] = "ifgocIFGOCTh", kBack[] = "spyTOdcFGIoDfgi";
  static constexpr size_t kMost = sizeof kBack - 1;

  bool back = false;
  std::array<GatePlace, kMost> values;
  double flops = 0;  // of an element
};

// Nothing if the fused node is another one, or not of rows of f32 of one length.
std::optional<Gates> find_gates(const Binding& binding);

}  // namespace slim
