// The GPUs of this machine under the names that users give them.
#include "cuda/device.h"

namespace slim::cuda {

void offer_devices() {
  Device::offer("cuda", [](int number) {
    const std::string name = number == 0 ? "cuda" : "cuda:" + std::to_string(number);
    return std::make_unique<CudaDevice>(name, open_nvidia(number));
  });
}

}  // namespace slim::cuda
