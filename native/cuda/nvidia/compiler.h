// NVRTC: a kernel's source to what the driver loads.
#pragma once

#include <string>
#include <vector>

#include "cuda/nvidia/api.h"

namespace slim::cuda::nvidia {

class Compiler {
 public:
  // For a GPU of this compute capability, under a driver of this version of CUDA (13000). Throws
  // DriverError that says what to install.
  Compiler(int major, int minor, int driver_version);

  std::string version() const;  // "13.0"
  // What else the result depends on, beside the source.
  std::string identity() const;
  // Machine code, or PTX where NVRTC does not know the GPU. Throws DriverError with its log.
  std::string compile(const std::string& source) const;

 private:
  NvrtcApi api_;
  int major_ = 0;
  int minor_ = 0;
  bool ptx_ = false;
  std::vector<std::string> options_;
};

}  // namespace slim::cuda::nvidia
