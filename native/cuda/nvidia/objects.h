// What the driver's handles stand for, each with its end.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "cuda/driver.h"
#include "cuda/nvidia/gpu.h"

namespace slim::cuda::nvidia {

struct NvidiaStream final : Stream {
  explicit NvidiaStream(const Gpu& gpu) : gpu(gpu) {
    const Gpu::Inside inside(gpu);
    SLIM_CUDA_REQUIRE(gpu, cuStreamCreate, &handle, kNonBlocking);
  }
  ~NvidiaStream() override {
    const Gpu::Inside inside(gpu);
    SLIM_CUDA_END(gpu, cuStreamDestroy_v2, handle);
  }

  bool takes_work() const { return !refused && !gpu.failed(); }
  // What a call on it gave: behind one that was refused nothing is put there.
  void check(const char* call, Result result) noexcept {
    if (is_refusal(result)) refuse(gpu.words(call, result), result);
    gpu.end(call, result);
  }
  // Of a recording it is said in the end.
  void refuse(const std::string& words, Result result = 0) noexcept {
    refused = true;
    if (!recorded) return gpu.refusals().add(words, result == kOutOfMemory);
    if (why.empty()) why = words;
  }

  const Gpu& gpu;
  StreamHandle handle = nullptr;
  bool refused = false;  // until somebody waits for it
  bool recorded = false;
  std::string why;  // the recording was refused
};

struct NvidiaEvent final : Event {
  explicit NvidiaEvent(const Gpu& gpu) : gpu(gpu) {
    const Gpu::Inside inside(gpu);
    SLIM_CUDA_REQUIRE(gpu, cuEventCreate, &handle, kNoTimes);
  }
  ~NvidiaEvent() override {
    const Gpu::Inside inside(gpu);
    SLIM_CUDA_END(gpu, cuEventDestroy_v2, handle);
  }

  const Gpu& gpu;
  EventHandle handle = nullptr;
};

struct NvidiaKernel final : Kernel {
  FunctionHandle handle = nullptr;
};

// Machine code on the GPU.
struct Loaded {
  Loaded(const Gpu& gpu, const std::string& code) : gpu(gpu) {
    const Gpu::Inside inside(gpu);
    SLIM_CUDA_REQUIRE(gpu, cuModuleLoadData, &handle, code.c_str());
  }
  ~Loaded() {
    const Gpu::Inside inside(gpu);
    SLIM_CUDA_END(gpu, cuModuleUnload, handle);
  }

  const Gpu& gpu;
  ModuleHandle handle = nullptr;
};

class NvidiaModule final : public Module {
 public:
  explicit NvidiaModule(std::shared_ptr<const Loaded> loaded) : loaded_(std::move(loaded)) {}

  std::unique_ptr<Kernel> kernel(const std::string& name, const Grid& grid) override {
    constexpr int64_t kPortableCluster = 8;  // blocks
    constexpr int kPlainShared = 48 << 10;   // what a kernel may have without asking
    const Gpu& gpu = loaded_->gpu;
    const Gpu::Inside inside(gpu);
    auto kernel = std::make_unique<NvidiaKernel>();
    SLIM_CUDA_REQUIRE(gpu, cuModuleGetFunction, &kernel->handle, loaded_->handle, name.c_str());
    if (grid.shared > kPlainShared) {
      const int most = gpu.attribute(kMostShared);
      if (grid.shared > most) {
        throw DriverError("kernel " + name + " shares " + std::to_string(grid.shared) +
                          " bytes in a block, but this GPU has " + std::to_string(most));
      }
      SLIM_CUDA_REQUIRE(gpu, cuFuncSetAttribute, kernel->handle, kDynamicSharedOf, grid.shared);
    }
    if (grid.meet == Grid::Meet::cluster && grid.blocks > kPortableCluster) {
      gpu.api().cuFuncSetAttribute(kernel->handle, kLargeClusters, 1);  // whether it fits is asked
    }
    return kernel;
  }

 private:
  std::shared_ptr<const Loaded> loaded_;
};

struct NvidiaRecording final : Recording {
  explicit NvidiaRecording(const Gpu& gpu) : gpu(gpu) {}
  ~NvidiaRecording() override {
    const Gpu::Inside inside(gpu);
    if (graph != nullptr) SLIM_CUDA_END(gpu, cuGraphDestroy, graph);
    if (exec != nullptr) SLIM_CUDA_END(gpu, cuGraphExecDestroy, exec);
  }

  const Gpu& gpu;
  GraphHandle graph = nullptr;
  GraphExecHandle exec = nullptr;
};

}  // namespace slim::cuda::nvidia
