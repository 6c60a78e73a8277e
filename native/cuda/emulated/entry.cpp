// Who may call, what a test has refused, and the calls that ask of the machine.
#include "cuda/emulated/entry.h"

#include <cstring>
#include <map>

namespace slim::cuda {
namespace emulated {
namespace {

thread_local std::string detail;

struct Fault {
  int after;
  Result result;
  int times;
};
std::map<std::string, Fault>& refusals() {
  static auto& all = *new std::map<std::string, Fault>;
  return all;
}

std::map<std::string, int64_t>& counts() {
  static auto& all = *new std::map<std::string, int64_t>;
  return all;
}

// Of a test: that this call does nothing.
Result refused(const char* call) {
  ++counts()[call];
  const auto found = refusals().find(call);
  if (found == refusals().end()) return 0;
  if (found->second.after > 0) return --found->second.after, 0;
  const Result result = found->second.result;
  if (--found->second.times <= 0) refusals().erase(found);
  return result;
}

}  // namespace

ContextHandle& current() {
  static thread_local ContextHandle own = nullptr;
  return own;
}

Result because(Result result, const std::string& words) {
  detail = words;
  return result;
}

Result enter(const char* call, const EmulatedGpu* gpu) {
  detail.clear();
  if (const Result result = refused(call)) return result;
  if (current() == nullptr) return because(kInvalidContext, "no context is current");
  if (gpu != nullptr && gpu != &current()->gpu) {
    return because(kInvalidContext, "another GPU's context is current");
  }
  const std::string& error = (gpu != nullptr ? *gpu : current()->gpu).error;
  return error.empty() ? 0 : because(kLaunchFailed, error);
}

Result cuInit(unsigned int) { return 0; }

Result cuDriverGetVersion(int* version) {
  *version = 13000;
  return 0;
}

Result cuGetErrorName(Result result, const char** name) {
  static const auto& known =
      *new std::map<Result, const char*>{{kInvalidValue, "CUDA_ERROR_INVALID_VALUE"},
                                         {kOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY"},
                                         {kInvalidContext, "CUDA_ERROR_INVALID_CONTEXT"},
                                         {kInvalidHandle, "CUDA_ERROR_INVALID_HANDLE"},
                                         {kNotFound, "CUDA_ERROR_NOT_FOUND"},
                                         {kLaunchFailed, "CUDA_ERROR_LAUNCH_FAILED"},
                                         {kTooLarge, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE"},
                                         {kNotRecorded, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
                                         {kSpoilt, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
                                         {kWrongThread, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD"},
                                         {kInvalidCluster, "CUDA_ERROR_INVALID_CLUSTER_SIZE"}};
  const auto found = known.find(result);
  *name = found == known.end() ? nullptr : found->second;
  return 0;
}

Result cuGetErrorString(Result, const char** words) {
  *words = detail.empty() ? nullptr : detail.c_str();
  return 0;
}

Result cuDeviceGetCount(int* count) {
  const std::lock_guard lock(emulated_lock());
  *count = static_cast<int>(emulated_gpus().size());
  return 0;
}

Result cuDeviceGet(DeviceNumber* device, int ordinal) {
  *device = ordinal;
  return 0;
}

Result cuDeviceGetName(char* name, int length, DeviceNumber) {
  std::strncpy(name, "emulated", static_cast<size_t>(length));
  return 0;
}

Result cuDeviceGetAttribute(int* value, int attribute, DeviceNumber) {
  *value = attribute == kMultiprocessors ? kMultiprocessorCount
           : attribute == kComputeMajor  ? 9
           : attribute == kMostShared    ? kMostSharedBytes
                                         : 0;
  return 0;
}

Result cuDeviceTotalMem_v2(size_t* bytes, DeviceNumber device) {
  const std::lock_guard lock(emulated_lock());
  *bytes = static_cast<size_t>(emulated_gpus()[static_cast<size_t>(device)]->gpu.bytes);
  return 0;
}

Result cuDevicePrimaryCtxRetain(ContextHandle* context, DeviceNumber device) {
  const std::lock_guard lock(emulated_lock());
  *context = emulated_gpus()[static_cast<size_t>(device)].get();
  return 0;
}

Result cuDevicePrimaryCtxRelease_v2(DeviceNumber) { return 0; }

Result cuCtxGetCurrent(ContextHandle* context) {
  *context = current();
  return 0;
}

Result cuCtxSetCurrent(ContextHandle context) {
  current() = context;
  return 0;
}

}  // namespace emulated

int refuse_emulated_call(const std::string& name, int after, nvidia::Result result, int times) {
  const std::lock_guard lock(emulated_lock());
  const auto before = emulated::refusals().find(name);
  const int left = before == emulated::refusals().end() ? 0 : before->second.times;
  emulated::refusals()[name] = {after, result, times};
  if (times <= 0) emulated::refusals().erase(name);
  return left;
}

int64_t emulated_calls(const std::string& name) {
  const std::lock_guard lock(emulated_lock());
  return emulated::counts()[name];
}

const nvidia::DriverApi& emulated_api() {
#define SLIM_FUNCTION(name, parameters) &emulated::name,
  static const nvidia::DriverApi api{SLIM_DRIVER_FUNCTIONS(SLIM_FUNCTION)};
#undef SLIM_FUNCTION
  return api;
}

}  // namespace slim::cuda
