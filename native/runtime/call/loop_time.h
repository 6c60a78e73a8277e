// The random counter of a loop's steps: what stands in a context's step and seed meanwhile.
#pragma once

#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/philox.h"

namespace slim {

// Held by the lane that decides; the others wait at a barrier while it moves.
class LoopTime {
 public:
  explicit LoopTime(const Context& context)
      // A context belongs to its call, whose lanes see it as it is between the moves.
      : context_(const_cast<Context&>(context)), step_(context.step), seed_(context.seed) {}

  // Slice `slice` of the loop: a gradient, which comes the other way, draws what was drawn.
  void move_to(int64_t slice) {
    constexpr uint64_t kIterations = (uint64_t{1} << (64 - kPhiloxStepBits)) - 1;
    const auto step = static_cast<uint64_t>(step_), at = static_cast<uint64_t>(slice);
    const auto around = static_cast<uint32_t>(step >> kPhiloxStepBits);
    uint32_t seed = around == 0 ? seed_ : mixed(seed_, around);
    const uint64_t turn = at / kIterations;
    if (turn > 0) seed = mixed(seed, ~static_cast<uint32_t>(turn));
    context_.seed = seed;
    context_.step = static_cast<int64_t>(philox_time(step, at % kIterations + 1));
  }

  void leave() {
    context_.step = step_;
    context_.seed = seed_;
  }

 private:
  // The finalizer of MurmurHash3.
  static uint32_t mixed(uint32_t key, uint32_t number) {
    uint32_t h = (key ^ number) * 0x9E3779B1u;
    h = (h ^ h >> 16) * 0x85EBCA6Bu;
    h = (h ^ h >> 13) * 0xC2B2AE35u;
    return h ^ h >> 16;
  }

  Context& context_;
  int64_t step_;
  uint32_t seed_;
};

}  // namespace slim
