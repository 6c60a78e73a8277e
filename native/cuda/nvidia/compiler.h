// NVRTC: a kernel's source to what the driver loads.
#pragma once

#include <string>
#include <vector>

#include "cuda/nvidia/platform.h"

namespace slim::cuda::nvidia {

class Compiler final : public KernelCompiler {
 public:
  // For a GPU of this compute capability, under a driver of this version of CUDA (13000). Throws
  // DriverError that says what to install.
  Compiler(int major, int minor, int driver_version);

  std::string about() const override;
  std::string identity() const override;
  // Machine code, or PTX where NVRTC does not know the GPU.
  std::string compile(const std::string& source) const override;

 private:
  std::string version() const;  // "13.0"

  NvrtcApi api_;
  int major_ = 0;
  int minor_ = 0;
  int driver_version_;
  bool ptx_ = false;
  std::vector<std::string> options_;
};

}  // namespace slim::cuda::nvidia
