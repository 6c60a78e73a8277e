// What a pass works on: a function, or a region of any ops.
#pragma once

#include <span>

#include "ir/graph.h"

namespace slim {

// A graph and what must be kept of it: its returns, and a function's assignments. Refers to
// the function or region that it is made of.
struct Body {
  Body(Function& function)  // NOLINT(google-explicit-constructor): passes take either
      : graph(function.graph), sets(function.sets), grads(function.grads) {}
  Body(Graph& region) : graph(region) {}  // NOLINT(google-explicit-constructor)

  Graph& graph;
  std::span<Assignment> sets, grads;
};

}  // namespace slim
