// A node of the user's whose function computes on the GPU.
#pragma once

#include "cuda/launch.h"

namespace slim::cuda {

// While others are put on the stream, the host calls the function, which puts there what it
// launches. It is no part of a recording: of a step that is recorded it stands between two.
class CustomLaunch final : public Launch {
 public:
  // Refuses a node that has nothing for GPUs.
  CustomLaunch(const Binding& binding, Driver& driver);

  int64_t tasks(int64_t) const override { return 1; }
  void run(const Context& context, int64_t task, std::byte* local) const noexcept override;
  Cost cost(int64_t rows) const override;

 private:
  Driver& driver_;
  std::string function_;
  bool gradient_;
  std::vector<Buffer> operands_, results_;
};

}  // namespace slim::cuda
