// NVIDIA's shared libraries, opened when they are asked for and never closed.
#pragma once

#include <string>
#include <vector>

namespace slim::cuda::nvidia {

// Directories of PyPI's `nvidia` packages, which hold cu13/lib, cuda_nvrtc/lib …
void set_package_directories(std::vector<std::string> directories);

struct Library {
  void* handle = nullptr;
  std::string failures;  // what was tried, where there is none

  void* find(const char* name) const;
};

// The first of the names that is found: where the system looks, in lib of PyPI's packages (as
// `cublas`), in the toolkit's folder.
Library open_library(const std::vector<std::string>& names, const std::string& package);

}  // namespace slim::cuda::nvidia
