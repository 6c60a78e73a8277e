// NVIDIA's driver, as the CUDA half asks for it.
#include "cuda/driver.h"

#include <unistd.h>

#include <map>
#include <optional>

#include "cuda/kernel_cache.h"
#include "cuda/nvidia/compiler.h"
#include "cuda/nvidia/convolutions.h"
#include "cuda/nvidia/gpu.h"
#include "cuda/nvidia/pool.h"
#include "cuda/nvidia/products.h"

namespace slim::cuda {
namespace nvidia {
namespace {

constexpr int64_t kKept = int64_t{256} << 20;  // of the GPU's memory
constexpr int64_t kKeptPinned = int64_t{64} << 20;
constexpr int64_t kPortableCluster = 8;  // blocks
constexpr int kPlainShared = 48 << 10;   // what a kernel may have without asking

Pointer pointer(const std::byte* data) {
  return static_cast<Pointer>(reinterpret_cast<uintptr_t>(data));
}

const Gpu& gpu_of(const void* of) { return *static_cast<const Gpu*>(of); }

std::byte* allocate_on(const void* of, int64_t bytes) {
  const Gpu::Inside inside(gpu_of(of));
  Pointer data = 0;
  const Result result = gpu_of(of).api().cuMemAlloc_v2(&data, static_cast<size_t>(bytes));
  if (result != 0 && result != kOutOfMemory) gpu_of(of).check("cuMemAlloc_v2", result);
  return reinterpret_cast<std::byte*>(result == 0 ? static_cast<uintptr_t>(data) : 0);
}

void free_on(const void* of, std::byte* data) {
  const Gpu::Inside inside(gpu_of(of));
  SLIM_CUDA_CALL(gpu_of(of), cuMemFree_v2, pointer(data));
}

std::byte* allocate_pinned(const void* of, int64_t bytes) {
  const Gpu::Inside inside(gpu_of(of));
  void* data = nullptr;
  const Result result = gpu_of(of).api().cuMemAllocHost_v2(&data, static_cast<size_t>(bytes));
  return static_cast<std::byte*>(result == 0 ? data : nullptr);
}

void free_pinned(const void* of, std::byte* data) {
  const Gpu::Inside inside(gpu_of(of));
  SLIM_CUDA_CALL(gpu_of(of), cuMemFreeHost, data);
}

struct NvidiaStream final : Stream {
  NvidiaStream(const Gpu& gpu) : gpu(gpu) {
    const Gpu::Inside inside(gpu);
    SLIM_CUDA_REQUIRE(gpu, cuStreamCreate, &handle, kNonBlocking);
  }
  ~NvidiaStream() override {
    const Gpu::Inside inside(gpu);
    SLIM_CUDA_CALL(gpu, cuStreamDestroy_v2, handle);
  }

  const Gpu& gpu;
  StreamHandle handle = nullptr;
};

struct NvidiaEvent final : Event {
  explicit NvidiaEvent(const Gpu& gpu) : gpu(gpu) {
    const Gpu::Inside inside(gpu);
    SLIM_CUDA_REQUIRE(gpu, cuEventCreate, &handle, kNoTimes);
  }
  ~NvidiaEvent() override {
    const Gpu::Inside inside(gpu);
    SLIM_CUDA_CALL(gpu, cuEventDestroy_v2, handle);
  }

  const Gpu& gpu;
  EventHandle handle = nullptr;
};

EventHandle event_of(const Event& event) { return static_cast<const NvidiaEvent&>(event).handle; }

}  // namespace

StreamHandle handle_of(Stream& stream) { return static_cast<NvidiaStream&>(stream).handle; }

namespace {

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
    SLIM_CUDA_CALL(gpu, cuModuleUnload, handle);
  }

  const Gpu& gpu;
  ModuleHandle handle = nullptr;
};

class NvidiaModule final : public Module {
 public:
  explicit NvidiaModule(std::shared_ptr<const Loaded> loaded) : loaded_(std::move(loaded)) {}

  std::unique_ptr<Kernel> kernel(const std::string& name, const Grid& grid) override {
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
      SLIM_CUDA_REQUIRE(gpu, cuFuncSetAttribute, kernel->handle, kLargeClusters, 1);
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
    if (graph != nullptr) SLIM_CUDA_CALL(gpu, cuGraphDestroy, graph);
    if (exec != nullptr) SLIM_CUDA_CALL(gpu, cuGraphExecDestroy, exec);
  }

  const Gpu& gpu;
  GraphHandle graph = nullptr;
  GraphExecHandle exec = nullptr;
};

class NvidiaDriver final : public Driver {
 public:
  explicit NvidiaDriver(int number)
      : gpu_(number),
        compiler_(gpu_.attribute(kComputeMajor), gpu_.attribute(kComputeMinor), driver_version()),
        memory_(&gpu_, allocate_on, free_on, kKept),
        pinned_(&gpu_, allocate_pinned, free_pinned, kKeptPinned) {
    char name[256] = {};
    SLIM_CUDA_REQUIRE(gpu_, cuDeviceGetName, name, static_cast<int>(sizeof name) - 1,
                      gpu_.device());
    size_t bytes = 0;
    SLIM_CUDA_REQUIRE(gpu_, cuDeviceTotalMem_v2, &bytes, gpu_.device());
    properties_.name = name;
    properties_.number = number;
    properties_.major = gpu_.attribute(kComputeMajor);
    properties_.minor = gpu_.attribute(kComputeMinor);
    properties_.multiprocessors = gpu_.attribute(kMultiprocessors);
    properties_.together = properties_.multiprocessors;
    properties_.memory = static_cast<int64_t>(bytes);
    const int version = driver_version();
    properties_.versions = "driver of CUDA " + std::to_string(version / 1000) + '.' +
                           std::to_string(version % 1000 / 10) + ", NVRTC " + compiler_.version();
  }
  ~NvidiaDriver() override {
    products_.reset();
    convolutions_.reset();
    memory_.drop();
    pinned_.drop();
    gpu_.api().cuDevicePrimaryCtxRelease_v2(gpu_.device());
  }

  const Properties& properties() const override { return properties_; }
  int64_t own_free_memory() const override {
    const Gpu::Inside inside(gpu_);
    size_t free = 0, total = 0;
    gpu_.api().cuMemGetInfo_v2(&free, &total);
    return static_cast<int64_t>(free) + memory_.kept_bytes();
  }

  std::byte* allocate_own(int64_t bytes) override {
    require_here();
    std::byte* data = memory_.allocate(bytes);
    if (data != nullptr) return data;
    require_alive();
    throw OutOfMemory(properties_.name, bytes, free_memory());
  }
  void release_own(std::byte* data) noexcept override { memory_.release(data); }
  bool holds(const std::byte* data) const override {
    int number = -1;
    const Result known = gpu_.api().cuPointerGetAttribute(&number, kOrdinalOf, pointer(data));
    return known == 0 && number == properties_.number;
  }
  std::byte* allocate_host(int64_t bytes) override {
    require_here();
    std::byte* data = pinned_.allocate(bytes);
    if (data == nullptr) throw OutOfMemory("the host (for memory that is pinned)", bytes, 0);
    return data;
  }
  void release_host(std::byte* data) noexcept override { pinned_.release(data); }

  std::unique_ptr<Stream> open_stream() override {
    require_here();
    return std::make_unique<NvidiaStream>(gpu_);
  }
  void* handle(Stream& stream) const noexcept override { return handle_of(stream); }
  // Of another library: an error of its own is not this driver's.
  void wait_for(void* handle) override {
    require_alive();
    const Gpu::Inside inside(gpu_);
    SLIM_CUDA_REQUIRE(gpu_, cuStreamSynchronize, static_cast<StreamHandle>(handle));
  }
  void copy(Stream& stream, std::byte* to, const std::byte* from, int64_t bytes) noexcept override {
    if (gpu_.failed() || bytes == 0) return;
    const Gpu::Inside inside(gpu_);
    SLIM_CUDA_CALL(gpu_, cuMemcpyAsync, pointer(to), pointer(from), static_cast<size_t>(bytes),
                   handle_of(stream));
  }
  void fill(Stream& stream, std::byte* to, uint8_t value, int64_t bytes) noexcept override {
    if (gpu_.failed() || bytes == 0) return;
    const Gpu::Inside inside(gpu_);
    SLIM_CUDA_CALL(gpu_, cuMemsetD8Async, pointer(to), value, static_cast<size_t>(bytes),
                   handle_of(stream));
  }
  void launch(Stream& stream, const Kernel& kernel, const Grid& grid, const void* arguments,
              size_t bytes) noexcept override {
    if (gpu_.failed()) return;
    const Gpu::Inside inside(gpu_);
    // CU_LAUNCH_PARAM_BUFFER_POINTER, CU_LAUNCH_PARAM_BUFFER_SIZE, CU_LAUNCH_PARAM_END
    void* extra[] = {reinterpret_cast<void*>(1), const_cast<void*>(arguments),
                     reinterpret_cast<void*>(2), &bytes, nullptr};
    if (grid.meet != Grid::Meet::never) return launch_together(stream, kernel, grid, extra);
    SLIM_CUDA_CALL(gpu_, cuLaunchKernel, static_cast<const NvidiaKernel&>(kernel).handle,
                   static_cast<unsigned int>(grid.blocks), 1, 1,
                   static_cast<unsigned int>(grid.threads), 1, 1,
                   static_cast<unsigned int>(grid.shared), handle_of(stream), nullptr, extra);
  }
  void wait(Stream& stream) noexcept override {
    if (gpu_.failed()) return;
    const Gpu::Inside inside(gpu_);
    SLIM_CUDA_CALL(gpu_, cuStreamSynchronize, handle_of(stream));
  }

  std::unique_ptr<Event> open_event() override {
    require_here();
    return std::make_unique<NvidiaEvent>(gpu_);
  }
  void mark(Event& event, Stream& stream) noexcept override {
    if (gpu_.failed()) return;
    const Gpu::Inside inside(gpu_);
    SLIM_CUDA_CALL(gpu_, cuEventRecord, event_of(event), handle_of(stream));
  }
  void follow(Stream& stream, const Event& event) noexcept override {
    if (gpu_.failed()) return;
    const Gpu::Inside inside(gpu_);
    SLIM_CUDA_CALL(gpu_, cuStreamWaitEvent, handle_of(stream), event_of(event), 0);
  }
  void wait(const Event& event) noexcept override {
    if (gpu_.failed()) return;
    const Gpu::Inside inside(gpu_);
    SLIM_CUDA_CALL(gpu_, cuEventSynchronize, event_of(event));
  }

  void begin_recording(Stream& stream) override {
    require_alive();
    const Gpu::Inside inside(gpu_);
    SLIM_CUDA_REQUIRE(gpu_, cuStreamBeginCapture_v2, handle_of(stream), kThreadLocal);
  }
  std::unique_ptr<Recording> end_recording(Stream& stream) override {
    const Gpu::Inside inside(gpu_);
    auto recording = std::make_unique<NvidiaRecording>(gpu_);
    const Result result = gpu_.api().cuStreamEndCapture(handle_of(stream), &recording->graph);
    require_alive();  // the first error says more than what follows of it
    gpu_.require("cuStreamEndCapture", result);
    SLIM_CUDA_REQUIRE(gpu_, cuGraphInstantiateWithFlags, &recording->exec, recording->graph, 0);
    SLIM_CUDA_REQUIRE(gpu_, cuGraphUpload, recording->exec, handle_of(stream));
    return recording;
  }
  void replay(Stream& stream, const Recording& recording) noexcept override {
    if (gpu_.failed()) return;
    const Gpu::Inside inside(gpu_);
    SLIM_CUDA_CALL(gpu_, cuGraphLaunch, static_cast<const NvidiaRecording&>(recording).exec,
                   handle_of(stream));
  }

  std::unique_ptr<Module> compile(const std::string& source) override {
    require_here();
    const std::string key = cache_key(compiler_.identity() + '\n' + source);
    const std::lock_guard lock(mutex_);
    std::weak_ptr<const Loaded>& known = modules_[key];
    std::shared_ptr<const Loaded> loaded = known.lock();
    if (!loaded) loaded = load_cached(key);
    if (!loaded) {
      const std::string code = compiler_.compile(source);
      loaded = std::make_shared<Loaded>(gpu_, code);
      write_cached(key, code);
    }
    known = loaded;
    return std::make_unique<NvidiaModule>(std::move(loaded));
  }

  Products* products() override {
    require_here();
    const std::lock_guard lock(mutex_);
    if (!sought_products_) products_ = open_products(gpu_, driver_version());
    sought_products_ = true;
    return products_.get();
  }
  Convolutions* convolutions() override {
    require_here();
    const std::lock_guard lock(mutex_);
    if (!sought_convolutions_) convolutions_ = open_convolutions(gpu_, no_convolutions_);
    sought_convolutions_ = true;
    return convolutions_.get();
  }
  std::string about_convolutions() override {
    const Convolutions* found = convolutions();
    if (found != nullptr) return found->description();
    return "no cuDNN (" + no_convolutions_ + "; pip install \"slimlearn[cuda13]\" brings it)";
  }

  std::string error() const override { return gpu_.error(); }

 private:
  // All blocks run at once, or the call fails.
  void launch_together(Stream& stream, const Kernel& kernel, const Grid& grid,
                       void** extra) noexcept {
    const auto blocks = static_cast<unsigned int>(grid.blocks);
    LaunchAttribute attribute{};
    if (grid.meet == Grid::Meet::cluster) {
      attribute.id = LaunchAttribute::cluster;
      attribute.cluster_size[0] = blocks;
      attribute.cluster_size[1] = attribute.cluster_size[2] = 1;
    } else {
      attribute.id = LaunchAttribute::cooperative;
      attribute.cooperates = 1;
    }
    const LaunchConfig config{{blocks, 1, 1},
                              {static_cast<unsigned int>(grid.threads), 1, 1},
                              static_cast<unsigned int>(grid.shared),
                              handle_of(stream),
                              &attribute,
                              1};
    SLIM_CUDA_CALL(gpu_, cuLaunchKernelEx, &config, static_cast<const NvidiaKernel&>(kernel).handle,
                   nullptr, extra);
  }

  // What the driver does not take any more is compiled again.
  std::shared_ptr<const Loaded> load_cached(const std::string& key) const {
    const std::optional<std::string> code = read_cached(key);
    if (!code) return nullptr;
    try {
      return std::make_shared<Loaded>(gpu_, *code);
    } catch (const DriverError&) {
      return nullptr;
    }
  }

  void require_alive() const {
    if (gpu_.failed()) throw DriverError(gpu_.error());
  }
  void require_here() const {
    require_alive();
    if (getpid() != process_) {
      throw DriverError(
          "a process that was forked after the GPU was used cannot use it: start "
          "processes by \"spawn\" or \"forkserver\", or use device=\"cpu\"");
    }
  }

  Gpu gpu_;
  Compiler compiler_;
  Properties properties_;
  Pool memory_, pinned_;
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<const Loaded>> modules_;  // by key
  bool sought_products_ = false;
  std::unique_ptr<Products> products_;
  bool sought_convolutions_ = false;
  std::unique_ptr<Convolutions> convolutions_;
  std::string no_convolutions_;
  pid_t process_ = getpid();
};

}  // namespace
}  // namespace nvidia

std::unique_ptr<Driver> open_nvidia(int device) {
  return std::make_unique<nvidia::NvidiaDriver>(device);
}

}  // namespace slim::cuda
