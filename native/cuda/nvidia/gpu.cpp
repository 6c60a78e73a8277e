// Opens libcuda and a GPU; what is missing, it says in words that help.
#include "cuda/nvidia/gpu.h"

#include <cstdlib>

#include "cuda/driver.h"
#include "cuda/nvidia/library.h"

namespace slim::cuda::nvidia {
namespace {

constexpr int kOldestDriver = 12000;

std::string dotted(int version) {
  return std::to_string(version / 1000) + '.' + std::to_string(version % 1000 / 10);
}

std::string words_of(const DriverApi& api, const char* call, Result result) {
  const char *name = nullptr, *words = nullptr;
  api.cuGetErrorName(result, &name);
  api.cuGetErrorString(result, &words);
  std::string text =
      std::string(call) + ": " + (name != nullptr ? name : "error " + std::to_string(result));
  if (words != nullptr) text += " (" + std::string(words) + ')';
  return text;
}

[[noreturn]] void refuse_start(const DriverApi& api, Result result) {
  if (result == kNoDevice) {
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    throw DriverError("this machine has no GPU that CUDA sees" +
                      (visible != nullptr
                           ? " (CUDA_VISIBLE_DEVICES is \"" + std::string(visible) + "\")"
                           : std::string()) +
                      ": use device=\"cpu\"");
  }
  if (result == kDriverMismatch) {
    throw DriverError("NVIDIA's driver was changed since this machine was started (" +
                      words_of(api, "cuInit", result) + "): start the machine again");
  }
  throw DriverError("NVIDIA's driver does not start, " + words_of(api, "cuInit", result) +
                    (result == kNotInitialized
                         ? ": a process that was forked after CUDA was used cannot use it, start "
                           "processes by \"spawn\" or \"forkserver\""
                         : ": see whether nvidia-smi works"));
}

DriverApi open_driver() {
  const Library library = open_library({"libcuda.so.1"}, "cuda");
  if (library.handle == nullptr) {
    throw DriverError("NVIDIA's driver is not installed (" + library.failures +
                      "): install the driver of the GPU, or use device=\"cpu\"");
  }
  DriverApi api;
  const auto find = [&](const char* name) { return library.find(name); };
  int version = 0;
  api.cuDriverGetVersion =
      reinterpret_cast<decltype(api.cuDriverGetVersion)>(find("cuDriverGetVersion"));
  if (api.cuDriverGetVersion != nullptr) api.cuDriverGetVersion(&version);
  const auto refuse_old = [&](const std::string& why) {
    throw DriverError("NVIDIA's driver is of CUDA " + dotted(version) + why + ", but CUDA " +
                      dotted(kOldestDriver) +
                      " or newer is needed: install a newer driver, or use device=\"cpu\"");
  };
  if (version < kOldestDriver) refuse_old("");
#define SLIM_FUNCTION(name, parameters)                         \
  api.name = reinterpret_cast<decltype(api.name)>(find(#name)); \
  if (api.name == nullptr) refuse_old(", without " #name);
  SLIM_DRIVER_FUNCTIONS(SLIM_FUNCTION)
#undef SLIM_FUNCTION
  if (const Result result = api.cuInit(0)) refuse_start(api, result);
  return api;
}

}  // namespace

const DriverApi& driver_api() {
  static const DriverApi api = open_driver();  // tried again after a failure
  return api;
}

int driver_version() {
  int version = 0;
  driver_api().cuDriverGetVersion(&version);
  return version;
}

Gpu::Gpu(const DriverApi& api, int number) : api_(api) {
  int count = 0;
  require("cuDeviceGetCount", api_.cuDeviceGetCount(&count));
  if (number >= count) {
    throw DriverError("there is no GPU " + std::to_string(number) + ", this machine has " +
                      std::to_string(count) +
                      (count == 1 ? ": use device=\"cuda\""
                                  : ", numbered from 0: use device=\"cuda:0\" to \"cuda:" +
                                        std::to_string(count - 1) + '"'));
  }
  require("cuDeviceGet", api_.cuDeviceGet(&device_, number));
  require("cuDevicePrimaryCtxRetain", api_.cuDevicePrimaryCtxRetain(&context_, device_));
}

int Gpu::attribute(int which) const {
  int value = 0;
  require("cuDeviceGetAttribute", api_.cuDeviceGetAttribute(&value, which, device_));
  return value;
}

std::string Gpu::words(const char* call, Result result) const {
  return words_of(api_, call, result);
}

// As cuda.h says of each; what is not listed ends the context, or may.
bool is_refusal(Result result) {
  constexpr Result kInvalidValue = 1, kInvalidHandle = 400, kTooManyResources = 701,
                   kCooperativeTooLarge = 720, kNotPermitted = 800, kNotSupported = 801,
                   kFirstOfRecording = 900, kLastOfRecording = 908, kInvalidCluster = 912;
  return result == kInvalidValue || result == kOutOfMemory || result == kInvalidHandle ||
         result == kTooManyResources || result == kCooperativeTooLarge || result == kNotPermitted ||
         result == kNotSupported || result == kInvalidCluster ||
         (result >= kFirstOfRecording && result <= kLastOfRecording);
}

void Gpu::check(const char* call, Result result) const noexcept {
  if (is_refusal(result)) refusals_.add(words(call, result), result == kOutOfMemory);
  end(call, result);
}

void Gpu::end(const char* call, Result result) const noexcept {
  if (result == 0 || is_refusal(result)) return;
  const std::lock_guard lock(mutex_);
  if (error_.empty()) error_ = words(call, result);
  failed_.store(true, std::memory_order_release);
}

void Gpu::require(const char* call, Result result) const {
  if (result == kOutOfMemory)
    throw OutOfMemory("the GPU has no memory left, " + words(call, result));
  if (result != 0) throw DriverError(words(call, result));
}

std::string Gpu::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

}  // namespace slim::cuda::nvidia
