// What a loop does on a GPU between its steps: slices of values, and the numbers that are drawn.
#pragma once

#include <memory>

#include "cuda/call.h"
#include "cuda/driver.h"
#include "runtime/device/device.h"

namespace slim::cuda {

// Kernels that no plan has, for all plans of a device.
class LoopKernels {
 public:
  explicit LoopKernels(Driver& driver);  // throws DriverError

  void copy(Stream& stream, const Device::Pieces& pieces) const noexcept;
  // Step and seed of the facts as the context's: what a loop changes of them.
  void move_time(Stream& stream, Facts* facts, const Context& context) const noexcept;

 private:
  Driver& driver_;
  std::unique_ptr<Module> module_;
  std::unique_ptr<Kernel> copy_words_, copy_bytes_, move_time_;
};

}  // namespace slim::cuda
