// What every call of the emulated libcuda begins with: whose turn it is, and whether it may.
#pragma once

#include <string>

#include "cuda/emulated/machine.h"

namespace slim::cuda::emulated {

using namespace nvidia;  // NOLINT: the words of its calls

inline constexpr Result kInvalidValue = 1, kInvalidContext = 201, kInvalidHandle = 400,
                        kNotFound = 500, kLaunchFailed = 719, kTooLarge = 720, kNotRecorded = 900,
                        kSpoilt = 901, kWrongThread = 908, kInvalidCluster = 912;
inline constexpr int kMultiprocessorCount = 3;
inline constexpr int kMostSharedBytes = 227 << 10;

ContextHandle& current();  // of this thread
// Of this thread's last result: more than its name says.
Result because(Result result, const std::string& words);
// 0: a call may do its work, on a GPU whose context must be current.
Result enter(const char* call, const EmulatedGpu* gpu = nullptr);
// Of a GPU after it worked.
inline Result outcome(const EmulatedGpu& gpu) {
  return gpu.error.empty() ? 0 : because(kLaunchFailed, gpu.error);
}

#define SLIM_ENTER(name, ...)                  \
  const std::lock_guard lock(emulated_lock()); \
  if (const Result result = enter(#name __VA_OPT__(, ) __VA_ARGS__)) return result

// The calls by their names.
#define SLIM_FUNCTION(name, parameters) Result name parameters;
SLIM_DRIVER_FUNCTIONS(SLIM_FUNCTION)
#undef SLIM_FUNCTION

}  // namespace slim::cuda::emulated
