// What libraries compute on the host.
#pragma once

#include <algorithm>

#include "cuda/convolutions.h"
#include "cuda/emulated/memory.h"
#include "cuda/products.h"

namespace slim::cuda {

// Rounds its operands to TF32 where it may.
struct HostProduct final : Product {
  explicit HostProduct(const Multiplication& what) : what(what) {}
  // Much of what is less aligned than a library wants: a plan that thought otherwise is noticed.
  int64_t workspace_bytes() const override {
    const bool is_aligned =
        std::min({what.a_alignment, what.b_alignment, what.result_alignment}) == kMostAligned;
    return is_aligned ? 1000 : 1 << 20;
  }

  bool is_within(const GuardedMemory& memory, const std::byte* a, const std::byte* b,
                 const std::byte* result, const std::byte* workspace) const;
  // As was promised when it was chosen.
  bool is_aligned(const std::byte* a, const std::byte* b, const std::byte* result,
                  const std::byte* workspace) const;
  void multiply(const std::byte* a, const std::byte* b, std::byte* result,
                std::byte* workspace) const;

  Multiplication what;
};

bool is_within(const GuardedMemory& memory, const ConvolutionPlan& plan,
               const ConvolutionArrays& arrays);

}  // namespace slim::cuda
