// What is used of NVIDIA's driver and run-time compiler, declared here: a build needs no CUDA.
#pragma once

#include <cstddef>

namespace slim::cuda::nvidia {

using Result = int;  // 0: success
using DeviceNumber = int;
using Pointer = unsigned long long;  // CUdeviceptr
using ContextHandle = struct ContextOf*;
using StreamHandle = struct StreamOf*;
using EventHandle = struct EventOf*;
using ModuleHandle = struct ModuleOf*;
using FunctionHandle = struct FunctionOf*;
using GraphHandle = struct GraphOf*;
using GraphExecHandle = struct GraphExecOf*;
using ProgramHandle = struct ProgramOf*;

inline constexpr Result kOutOfMemory = 2;
inline constexpr Result kNotInitialized = 3;
inline constexpr Result kNoDevice = 100;
inline constexpr Result kDriverMismatch = 803;
inline constexpr int kMultiprocessors = 16;
inline constexpr int kComputeMajor = 75;
inline constexpr int kComputeMinor = 76;
inline constexpr int kMostShared = 97;           // CU_DEVICE_ATTRIBUTE_MAX_SHARED_…_OPTIN
inline constexpr int kDynamicSharedOf = 8;       // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
inline constexpr int kLargeClusters = 14;        // CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_…
inline constexpr unsigned int kNonBlocking = 1;  // CU_STREAM_NON_BLOCKING
inline constexpr unsigned int kNoTimes = 2;      // CU_EVENT_DISABLE_TIMING
inline constexpr int kOrdinalOf = 9;             // CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
inline constexpr int kThreadLocal = 1;           // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL

// CUlaunchAttribute and CUlaunchConfig, as far as they are used.
struct LaunchAttribute {
  enum Id : int { cooperative = 2, cluster = 4 };
  int id;
  char pad[4];
  union {
    char all[64];
    int cooperates;
    unsigned int cluster_size[3];
  };
};
struct LaunchConfig {
  unsigned int grid[3], block[3];
  unsigned int shared;
  StreamHandle stream;
  LaunchAttribute* attributes;
  unsigned int count;
};

// X(name, parameters) of libcuda; all give a Result.
#define SLIM_DRIVER_FUNCTIONS(X)                                                             \
  X(cuInit, (unsigned int flags))                                                            \
  X(cuDriverGetVersion, (int* version))                                                      \
  X(cuGetErrorName, (Result result, const char** name))                                      \
  X(cuGetErrorString, (Result result, const char** words))                                   \
  X(cuDeviceGetCount, (int* count))                                                          \
  X(cuDeviceGet, (DeviceNumber * device, int ordinal))                                       \
  X(cuDeviceGetName, (char* name, int length, DeviceNumber device))                          \
  X(cuDeviceGetAttribute, (int* value, int attribute, DeviceNumber device))                  \
  X(cuDeviceTotalMem_v2, (size_t* bytes, DeviceNumber device))                               \
  X(cuDevicePrimaryCtxRetain, (ContextHandle * context, DeviceNumber device))                \
  X(cuDevicePrimaryCtxRelease_v2, (DeviceNumber device))                                     \
  X(cuCtxGetCurrent, (ContextHandle * context))                                              \
  X(cuCtxSetCurrent, (ContextHandle context))                                                \
  X(cuMemGetInfo_v2, (size_t* free, size_t* total))                                          \
  X(cuMemAlloc_v2, (Pointer * data, size_t bytes))                                           \
  X(cuMemFree_v2, (Pointer data))                                                            \
  X(cuMemAllocHost_v2, (void** data, size_t bytes))                                          \
  X(cuMemFreeHost, (void* data))                                                             \
  X(cuPointerGetAttribute, (void* value, int attribute, Pointer data))                       \
  X(cuMemcpyAsync, (Pointer to, Pointer from, size_t bytes, StreamHandle stream))            \
  X(cuMemsetD8Async, (Pointer to, unsigned char value, size_t bytes, StreamHandle stream))   \
  X(cuStreamCreate, (StreamHandle * stream, unsigned int flags))                             \
  X(cuStreamDestroy_v2, (StreamHandle stream))                                               \
  X(cuStreamSynchronize, (StreamHandle stream))                                              \
  X(cuStreamWaitEvent, (StreamHandle stream, EventHandle event, unsigned int flags))         \
  X(cuEventCreate, (EventHandle * event, unsigned int flags))                                \
  X(cuEventDestroy_v2, (EventHandle event))                                                  \
  X(cuEventRecord, (EventHandle event, StreamHandle stream))                                 \
  X(cuEventSynchronize, (EventHandle event))                                                 \
  X(cuStreamBeginCapture_v2, (StreamHandle stream, int mode))                                \
  X(cuStreamEndCapture, (StreamHandle stream, GraphHandle * graph))                          \
  X(cuGraphInstantiateWithFlags,                                                             \
    (GraphExecHandle * exec, GraphHandle graph, unsigned long long flags))                   \
  X(cuGraphUpload, (GraphExecHandle exec, StreamHandle stream))                              \
  X(cuGraphLaunch, (GraphExecHandle exec, StreamHandle stream))                              \
  X(cuGraphExecDestroy, (GraphExecHandle exec))                                              \
  X(cuGraphDestroy, (GraphHandle graph))                                                     \
  X(cuModuleLoadData, (ModuleHandle * module, const void* image))                            \
  X(cuModuleUnload, (ModuleHandle module))                                                   \
  X(cuModuleGetFunction, (FunctionHandle * function, ModuleHandle module, const char* name)) \
  X(cuFuncSetAttribute, (FunctionHandle function, int attribute, int value))                 \
  X(cuOccupancyMaxActiveClusters,                                                            \
    (int* count, FunctionHandle function, const LaunchConfig* config))                       \
  X(cuOccupancyMaxActiveBlocksPerMultiprocessor,                                             \
    (int* count, FunctionHandle function, int threads, size_t shared))                       \
  X(cuLaunchKernelEx,                                                                        \
    (const LaunchConfig* config, FunctionHandle function, void** parameters, void** extra))  \
  X(cuLaunchKernel,                                                                          \
    (FunctionHandle function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z, \
     unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared,  \
     StreamHandle stream, void** parameters, void** extra))

// X(name, parameters) of libnvrtc; all give a Result.
#define SLIM_NVRTC_FUNCTIONS(X)                                                            \
  X(nvrtcVersion, (int* major, int* minor))                                                \
  X(nvrtcGetNumSupportedArchs, (int* count))                                               \
  X(nvrtcGetSupportedArchs, (int* architectures))                                          \
  X(nvrtcCreateProgram, (ProgramHandle * program, const char* source, const char* name,    \
                         int headers, const char* const* texts, const char* const* names)) \
  X(nvrtcDestroyProgram, (ProgramHandle * program))                                        \
  X(nvrtcCompileProgram, (ProgramHandle program, int count, const char* const* options))   \
  X(nvrtcGetCUBINSize, (ProgramHandle program, size_t* bytes))                             \
  X(nvrtcGetCUBIN, (ProgramHandle program, char* cubin))                                   \
  X(nvrtcGetPTXSize, (ProgramHandle program, size_t* bytes))                               \
  X(nvrtcGetPTX, (ProgramHandle program, char* ptx))                                       \
  X(nvrtcGetProgramLogSize, (ProgramHandle program, size_t* bytes))                        \
  X(nvrtcGetProgramLog, (ProgramHandle program, char* log))

#define SLIM_FUNCTION(name, parameters) Result(*name) parameters = nullptr;
struct DriverApi {
  SLIM_DRIVER_FUNCTIONS(SLIM_FUNCTION)
};
struct NvrtcApi {
  SLIM_NVRTC_FUNCTIONS(SLIM_FUNCTION)
};
#undef SLIM_FUNCTION

}  // namespace slim::cuda::nvidia
