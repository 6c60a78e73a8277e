// Convolutions by cuDNN.
#pragma once

#include <memory>
#include <string>

#include "cuda/convolutions.h"
#include "cuda/nvidia/gpu.h"

namespace slim::cuda::nvidia {

// Null where the library is not installed or does not work; why, in words.
std::unique_ptr<Convolutions> open_convolutions(const Gpu& gpu, std::string& why);

}  // namespace slim::cuda::nvidia
