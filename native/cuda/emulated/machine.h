// The machine that the emulated libcuda has: its GPUs, and what the handles of its calls stand for.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cuda/emulated/host_compiler.h"
#include "cuda/emulated/memory.h"
#include "cuda/nvidia/api.h"

namespace slim::cuda {

using Work = std::function<void()>;

// What was put on a stream and did not run yet. Events keep it beyond the stream.
struct Queue {
  std::deque<Work> works;
  int64_t ran = 0;
};

struct EmulatedGpu {
  int number = 0;
  int64_t bytes = 0;  // of its memory
  GuardedMemory memory;
  std::map<const std::byte*, int64_t> pinned;  // bytes of each piece
  std::vector<nvidia::StreamHandle> recorded;  // streams that are
  std::string error;                           // of a kernel: nothing runs after it

  // Of work that runs.
  void fail(const std::string& words) {
    if (error.empty()) error = words;
  }
};

namespace nvidia {

struct ContextOf {
  EmulatedGpu gpu;
};
struct StreamOf {
  explicit StreamOf(EmulatedGpu& gpu) : gpu(gpu) {}

  EmulatedGpu& gpu;
  std::shared_ptr<Queue> queue = std::make_shared<Queue>();
  std::unique_ptr<std::vector<Work>> recording;  // while there is one
  std::thread::id recorder;
  bool spoilt = false;  // what it was asked for cannot be recorded
};
struct EventOf {
  std::shared_ptr<Queue> queue;
  int64_t place = 0;  // so much of it runs before
};
struct FunctionOf {
  HostKernel kernel;
  int shared = 48 << 10;  // bytes of a block that it may ask for
  bool large_clusters = false;
};
struct ModuleOf {
  explicit ModuleOf(const char* file) : code(file) {}

  HostModule code;
  std::vector<std::unique_ptr<FunctionOf>> functions;
};
struct GraphOf {
  std::vector<Work> works;
};
struct GraphExecOf {
  std::vector<Work> works;
};

}  // namespace nvidia

// One call at a time: kernels keep what a block shares in variables of their module.
std::mutex& emulated_lock();

// Under the lock. A GPU of so many bytes, of this number.
int add_emulated_gpu(int64_t bytes);
std::vector<std::unique_ptr<nvidia::ContextOf>>& emulated_gpus();

// Under the lock. To be run when somebody waits, or recorded.
void put_work(nvidia::StreamOf& stream, Work work);
// Under the lock. Nothing runs before somebody waits for it, so that what is not waited for is not
// there.
void run_until(EmulatedGpu& gpu, Queue& queue, int64_t place);

// The functions, each of which checks what CUDA asks of its callers.
const nvidia::DriverApi& emulated_api();

// For tests: how often a call was made so far.
int64_t emulated_calls(const std::string& name);
// For tests: the call of this name, behind so many that work, gives this result and does nothing,
// so many times. Gives how often what was asked for before has not happened.
int refuse_emulated_call(const std::string& name, int after, nvidia::Result result, int times);

}  // namespace slim::cuda
