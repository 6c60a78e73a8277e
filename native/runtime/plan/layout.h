// Where every declaration of a program lives in the arenas that Python lends.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph.h"
#include "kernels/kernel.h"

namespace slim {

// Each array starts at a multiple of kAlignment. Gradients lie as parameters do; slot i is
// the i-th stretch as long as the parameter arena; a hyper is one f64 on a line of its own.
struct Layout {
  explicit Layout(const Program& program);

  struct Place {
    Base base;
    int64_t offset;  // bytes
    int64_t bytes;   // without padding; of a slot: the parameter arena
    DType dtype;
  };
  // The same with a parameter arena of so many bytes, and slots to match.
  Layout resized(int64_t bytes) const;
  // Of each parameter: numbers as large as it is.
  int64_t slots() const { return param_bytes > 0 ? slot_bytes / param_bytes : 0; }

  std::vector<Place> places;     // by declaration
  DType precision = DType::f32;  // of parameters, state and slots
  int64_t param_bytes = 0;
  int64_t state_bytes = 0;
  int64_t slot_bytes = 0;  // of all slots together
  int64_t hyper_bytes = 0;
};

}  // namespace slim
