// NVIDIA's own: libcuda, NVRTC, cuBLASLt and cuDNN as they are installed.
#include "cuda/nvidia/platform.h"

#include "cuda/nvidia/compiler.h"
#include "cuda/nvidia/convolutions.h"
#include "cuda/nvidia/products.h"

namespace slim::cuda {
namespace nvidia {
namespace {

class Installed final : public Platform {
 public:
  const DriverApi& api() const override { return driver_api(); }
  std::unique_ptr<KernelCompiler> compiler(const Gpu& gpu) const override {
    return std::make_unique<Compiler>(gpu.attribute(kComputeMajor), gpu.attribute(kComputeMinor),
                                      driver_version());
  }
  std::unique_ptr<Products> products(const Gpu& gpu) const override {
    return open_products(gpu, driver_version());
  }
  std::unique_ptr<Convolutions> convolutions(const Gpu& gpu, std::string& why) const override {
    auto found = open_convolutions(gpu, why);
    if (found == nullptr) why += "; pip install \"slimlearn[cuda13]\" brings it";
    return found;
  }
};

}  // namespace
}  // namespace nvidia

std::unique_ptr<Driver> open_nvidia(int device) {
  return nvidia::open_driver(std::make_unique<nvidia::Installed>(), device);
}

}  // namespace slim::cuda
