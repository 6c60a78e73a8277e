// The headers of kernels, as text: cuda/kernels/*.cuh by name, which the build puts in.
#pragma once

#include <map>
#include <string>

namespace slim::cuda {

const std::map<std::string, std::string>& headers();

}  // namespace slim::cuda
