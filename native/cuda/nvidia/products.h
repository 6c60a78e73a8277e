// Products of matrices by cuBLASLt.
#pragma once

#include <memory>

#include "cuda/nvidia/platform.h"

namespace slim::cuda::nvidia {

// Under a driver of this version of CUDA; null where the library is not installed.
std::unique_ptr<Products> open_products(const Gpu& gpu, int driver_version);

}  // namespace slim::cuda::nvidia
