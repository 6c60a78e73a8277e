// What libraries compute on the host.
#pragma once

#include "cuda/convolutions.h"
#include "cuda/emulated/memory.h"
#include "cuda/products.h"

namespace slim::cuda {

// Rounds its operands to TF32 where it may.
struct HostProduct final : Product {
  explicit HostProduct(const Multiplication& what) : what(what) {}
  int64_t workspace_bytes() const override { return 1000; }

  bool is_within(const GuardedMemory& memory, const std::byte* a, const std::byte* b,
                 const std::byte* result, const std::byte* workspace) const;
  void multiply(const std::byte* a, const std::byte* b, std::byte* result,
                std::byte* workspace) const;

  Multiplication what;
};

bool is_within(const GuardedMemory& memory, const ConvolutionPlan& plan,
               const ConvolutionArrays& arrays);

}  // namespace slim::cuda
