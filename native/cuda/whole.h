// All kernels of a step as one, for networks whose kernels are shorter than their launches.
#pragma once

#include <memory>
#include <vector>

#include "cuda/call.h"
#include "cuda/launch.h"
#include "cuda/memory.h"

namespace slim::cuda {

// More work than this has launches of its own.
inline constexpr double kMostWholeFlops = 1e9;

// A kernel of the step and what it is given.
struct WholePart {
  const KernelText* text;
  Facts* facts;
  std::vector<const void*> pointers;
  bool waits;         // for those before it
  bool if_it_counts;  // it runs only if the step does (step_counts of kernels/steps.cuh)
};

class WholeStep {
 public:
  // Null where launches of their own are better, or the parts do not fit into one kernel. The
  // pointers are those that step_counts asks for.
  static std::unique_ptr<WholeStep> make(Driver& driver, Stream& stream,
                                         const std::vector<WholePart>& parts, Facts* facts,
                                         const void* state, const void* objective);

  void run(Stream& stream, int64_t steps) noexcept;

 private:
  explicit WholeStep(Driver& driver) : driver_(driver) {}

  Driver& driver_;
  Grid grid_;
  std::shared_ptr<Module> module_;
  std::unique_ptr<Kernel> kernel_;
  Piece<uint64_t> meeting_;
  std::vector<const void*> arguments_;  // the first is the number of steps
};

}  // namespace slim::cuda
