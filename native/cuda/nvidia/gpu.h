// A GPU as libcuda has it: its functions, its context, the first error.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "cuda/nvidia/api.h"
#include "cuda/refusals.h"

namespace slim::cuda::nvidia {

// The functions of libcuda, which works. Throws DriverError that says what to install.
const DriverApi& driver_api();
int driver_version();  // of CUDA: 13000

class Gpu {
 public:
  // Throws DriverError.
  Gpu(const DriverApi& api, int number);

  const DriverApi& api() const { return api_; }
  DeviceNumber device() const { return device_; }
  int attribute(int which) const;

  // What CUDA says of a result: "cuMemAlloc_v2: CUDA_ERROR_… (in words)".
  std::string words(const char* call, Result result) const;
  // Keeps the first failure that ends the context, and otherwise what this thread was refused.
  void check(const char* call, Result result) const noexcept;
  // What ends something: of its failures only those of the context count.
  void end(const char* call, Result result) const noexcept;
  // Throws OutOfMemory or DriverError, and keeps nothing.
  void require(const char* call, Result result) const;
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  std::string error() const;
  Refusals& refusals() const { return refusals_; }

  // While one lives, its context is this thread's. What was before, other libraries count on: it
  // comes back, but for none where this GPU is the one that they begin with.
  class Inside {
   public:
    explicit Inside(const Gpu& gpu) : api_(gpu.api_) {
      api_.cuCtxGetCurrent(&before_);
      if (before_ == gpu.context_) return;
      restore_ = before_ != nullptr || gpu.device_ != 0;
      gpu.check("cuCtxSetCurrent", api_.cuCtxSetCurrent(gpu.context_));
    }
    ~Inside() {
      if (restore_) api_.cuCtxSetCurrent(before_);
    }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    const DriverApi& api_;
    ContextHandle before_ = nullptr;
    bool restore_ = false;
  };

 private:
  const DriverApi& api_;
  DeviceNumber device_ = 0;
  ContextHandle context_ = nullptr;
  mutable std::atomic<bool> failed_{false};
  mutable std::mutex mutex_;
  mutable std::string error_;
  mutable Refusals refusals_;
};

// Whether a call did nothing, and the context goes on; else nothing works in it any more.
bool is_refusal(Result result);

// SLIM_CUDA_CALL(gpu, cuEventSynchronize, event) keeps a failure of the call.
#define SLIM_CUDA_CALL(gpu, name, ...) (gpu).check(#name, (gpu).api().name(__VA_ARGS__))
#define SLIM_CUDA_END(gpu, name, ...) (gpu).end(#name, (gpu).api().name(__VA_ARGS__))
#define SLIM_CUDA_REQUIRE(gpu, name, ...) (gpu).require(#name, (gpu).api().name(__VA_ARGS__))

}  // namespace slim::cuda::nvidia
