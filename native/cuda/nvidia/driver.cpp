// What the CUDA half asks for, of libcuda.
#include "cuda/driver.h"

#include <unistd.h>

#include <map>
#include <optional>

#include "cuda/kernel_cache.h"
#include "cuda/nvidia/objects.h"
#include "cuda/nvidia/platform.h"
#include "cuda/nvidia/pool.h"

namespace slim::cuda {
namespace nvidia {
namespace {

constexpr int64_t kKept = int64_t{256} << 20;  // of the GPU's memory
constexpr int64_t kKeptPinned = int64_t{64} << 20;

Pointer pointer(const std::byte* data) {
  return static_cast<Pointer>(reinterpret_cast<uintptr_t>(data));
}

const Gpu& gpu_of(const void* of) { return *static_cast<const Gpu*>(of); }

std::byte* allocate_on(const void* of, int64_t bytes) {
  const Gpu::Inside inside(gpu_of(of));
  Pointer data = 0;
  const Result result = gpu_of(of).api().cuMemAlloc_v2(&data, static_cast<size_t>(bytes));
  gpu_of(of).end("cuMemAlloc_v2", result);
  return reinterpret_cast<std::byte*>(result == 0 ? static_cast<uintptr_t>(data) : 0);
}

void free_on(const void* of, std::byte* data) {
  const Gpu::Inside inside(gpu_of(of));
  SLIM_CUDA_END(gpu_of(of), cuMemFree_v2, pointer(data));
}

std::byte* allocate_pinned(const void* of, int64_t bytes) {
  const Gpu::Inside inside(gpu_of(of));
  void* data = nullptr;
  const Result result = gpu_of(of).api().cuMemAllocHost_v2(&data, static_cast<size_t>(bytes));
  return static_cast<std::byte*>(result == 0 ? data : nullptr);
}

void free_pinned(const void* of, std::byte* data) {
  const Gpu::Inside inside(gpu_of(of));
  SLIM_CUDA_END(gpu_of(of), cuMemFreeHost, data);
}

NvidiaStream& own(Stream& stream) { return static_cast<NvidiaStream&>(stream); }
EventHandle event_of(const Event& event) { return static_cast<const NvidiaEvent&>(event).handle; }

// Of a grid whose blocks wait for each other: all run at once, or the launch is refused.
struct Together {
  explicit Together(const Grid& grid, StreamHandle stream = nullptr)
      : config{{static_cast<unsigned int>(grid.blocks), 1, 1},
               {static_cast<unsigned int>(grid.threads), 1, 1},
               static_cast<unsigned int>(grid.shared),
               stream,
               &attribute,
               1} {
    if (grid.meet == Grid::Meet::cluster) {
      attribute.id = LaunchAttribute::cluster;
      attribute.cluster_size[0] = config.grid[0];
      attribute.cluster_size[1] = attribute.cluster_size[2] = 1;
    } else {
      attribute.id = LaunchAttribute::cooperative;
      attribute.cooperates = 1;
    }
  }

  LaunchAttribute attribute{};
  LaunchConfig config;
};

}  // namespace

StreamHandle handle_of(Stream& stream) { return own(stream).handle; }
bool takes_work(const Stream& stream) {
  return static_cast<const NvidiaStream&>(stream).takes_work();
}
void refuse(Stream& stream, const std::string& words) noexcept { own(stream).refuse(words); }

namespace {

// SLIM_ON_STREAM(stream, cuMemcpyAsync, …) where the stream takes work.
#define SLIM_ON_STREAM(stream, name, ...)                   \
  do {                                                      \
    if (!takes_work(stream)) return;                        \
    const Gpu::Inside inside(gpu_);                         \
    own(stream).check(#name, gpu_.api().name(__VA_ARGS__)); \
  } while (false)

class NvidiaDriver final : public Driver {
 public:
  NvidiaDriver(std::unique_ptr<const Platform> platform, int number)
      : platform_(std::move(platform)),
        gpu_(platform_->api(), number),
        compiler_(platform_->compiler(gpu_)),
        memory_(&gpu_, allocate_on, free_on, platform_->keeps_memory() ? kKept : 0),
        pinned_(&gpu_, allocate_pinned, free_pinned, platform_->keeps_memory() ? kKeptPinned : 0) {
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
    properties_.versions = compiler_->about();
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
    const Gpu::Inside inside(gpu_);
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
  void inside(const std::function<void()>& work) override {
    const Gpu::Inside inside(gpu_);
    work();
  }
  void copy(Stream& stream, std::byte* to, const std::byte* from, int64_t bytes) noexcept override {
    if (bytes == 0) return;
    SLIM_ON_STREAM(stream, cuMemcpyAsync, pointer(to), pointer(from), static_cast<size_t>(bytes),
                   handle_of(stream));
  }
  void fill(Stream& stream, std::byte* to, uint8_t value, int64_t bytes) noexcept override {
    if (bytes == 0) return;
    SLIM_ON_STREAM(stream, cuMemsetD8Async, pointer(to), value, static_cast<size_t>(bytes),
                   handle_of(stream));
  }
  void launch(Stream& stream, const Kernel& kernel, const Grid& grid, const void* arguments,
              size_t bytes) noexcept override {
    const FunctionHandle function = static_cast<const NvidiaKernel&>(kernel).handle;
    // CU_LAUNCH_PARAM_BUFFER_POINTER, CU_LAUNCH_PARAM_BUFFER_SIZE, CU_LAUNCH_PARAM_END
    void* extra[] = {reinterpret_cast<void*>(1), const_cast<void*>(arguments),
                     reinterpret_cast<void*>(2), &bytes, nullptr};
    if (grid.meet != Grid::Meet::never) {
      const Together together(grid, handle_of(stream));
      SLIM_ON_STREAM(stream, cuLaunchKernelEx, &together.config, function, nullptr, extra);
      return;
    }
    SLIM_ON_STREAM(stream, cuLaunchKernel, function, static_cast<unsigned int>(grid.blocks), 1, 1,
                   static_cast<unsigned int>(grid.threads), 1, 1,
                   static_cast<unsigned int>(grid.shared), handle_of(stream), nullptr, extra);
  }
  void wait(Stream& stream) noexcept override {
    if (gpu_.failed()) return;
    const Gpu::Inside inside(gpu_);
    own(stream).check("cuStreamSynchronize", gpu_.api().cuStreamSynchronize(handle_of(stream)));
    if (!own(stream).recorded) own(stream).refused = false;
  }

  std::unique_ptr<Event> open_event() override {
    require_here();
    return std::make_unique<NvidiaEvent>(gpu_);
  }
  void mark(Event& event, Stream& stream) noexcept override {
    SLIM_ON_STREAM(stream, cuEventRecord, event_of(event), handle_of(stream));
  }
  void follow(Stream& stream, const Event& event) noexcept override {
    SLIM_ON_STREAM(stream, cuStreamWaitEvent, handle_of(stream), event_of(event), 0);
  }
  void wait(const Event& event) noexcept override {
    if (gpu_.failed()) return;
    const Gpu::Inside inside(gpu_);
    SLIM_CUDA_CALL(gpu_, cuEventSynchronize, event_of(event));
  }

  // Where one of the two fails, what follows on the stream is left out like behind a refusal.
  void begin_recording(Stream& stream) override {
    own(stream).refused = true;
    require_alive();
    const Gpu::Inside inside(gpu_);
    const Result result = gpu_.api().cuStreamBeginCapture_v2(handle_of(stream), kThreadLocal);
    require_recorded("cuStreamBeginCapture", result);
    own(stream).recorded = true;
    own(stream).refused = false;
  }
  std::unique_ptr<Recording> end_recording(Stream& stream) override {
    const Gpu::Inside inside(gpu_);
    auto recording = std::make_unique<NvidiaRecording>(gpu_);
    const Result result = gpu_.api().cuStreamEndCapture(handle_of(stream), &recording->graph);
    own(stream).recorded = false;
    own(stream).refused = true;
    const std::string why = std::exchange(own(stream).why, {});
    require_alive();  // the first error says more than what follows of it
    if (!why.empty()) throw RecordingRefused("a step cannot be recorded: " + why);
    require_recorded("cuStreamEndCapture", result);
    SLIM_CUDA_REQUIRE(gpu_, cuGraphInstantiateWithFlags, &recording->exec, recording->graph, 0);
    SLIM_CUDA_REQUIRE(gpu_, cuGraphUpload, recording->exec, handle_of(stream));
    own(stream).refused = false;
    return recording;
  }
  void replay(Stream& stream, const Recording& recording) noexcept override {
    SLIM_ON_STREAM(stream, cuGraphLaunch, static_cast<const NvidiaRecording&>(recording).exec,
                   handle_of(stream));
  }

  bool fits(const Kernel& kernel, const Grid& grid) override {
    const FunctionHandle function = static_cast<const NvidiaKernel&>(kernel).handle;
    const Gpu::Inside inside(gpu_);
    int count = 0;
    if (grid.meet == Grid::Meet::cluster) {
      const Together together(grid);
      return gpu_.api().cuOccupancyMaxActiveClusters(&count, function, &together.config) == 0 &&
             count > 0;
    }
    return gpu_.api().cuOccupancyMaxActiveBlocksPerMultiprocessor(
               &count, function, grid.threads, static_cast<size_t>(grid.shared)) == 0 &&
           count * int64_t{properties_.multiprocessors} >= grid.blocks;
  }

  std::unique_ptr<Module> compile(const std::string& source) override {
    require_here();
    const std::string identity = compiler_->identity();
    const std::string key = cache_key(identity + '\n' + source);
    const std::lock_guard lock(mutex_);
    std::weak_ptr<const Loaded>& known = modules_[key];
    std::shared_ptr<const Loaded> loaded = known.lock();
    if (!loaded && !identity.empty()) loaded = load_cached(key);
    if (!loaded) {
      const std::string code = compiler_->compile(source);
      loaded = std::make_shared<Loaded>(gpu_, code);
      if (!identity.empty()) write_cached(key, code);
    }
    known = loaded;
    return std::make_unique<NvidiaModule>(std::move(loaded));
  }

  Products* products() override {
    require_here();
    const std::lock_guard lock(mutex_);
    if (!sought_products_) products_ = platform_->products(gpu_);
    sought_products_ = true;
    return products_.get();
  }
  Convolutions* convolutions() override {
    require_here();
    const std::lock_guard lock(mutex_);
    if (!sought_convolutions_) convolutions_ = platform_->convolutions(gpu_, no_convolutions_);
    sought_convolutions_ = true;
    return convolutions_.get();
  }
  std::string about_convolutions() override {
    const Convolutions* found = convolutions();
    if (found != nullptr) return found->description();
    return "no cuDNN" + (no_convolutions_.empty() ? "" : " (" + no_convolutions_ + ')');
  }

  std::string error() const override { return gpu_.error(); }
  Refusals& refusals() override { return gpu_.refusals(); }

 private:
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

  void require_recorded(const char* call, Result result) const {
    if (result != kOutOfMemory && is_refusal(result)) {
      throw RecordingRefused("a step cannot be recorded: " + gpu_.words(call, result));
    }
    gpu_.require(call, result);
  }
  void require_alive() const {
    if (gpu_.failed()) throw LostDevice(properties_.name, gpu_.error());
  }
  void require_here() const {
    require_alive();
    if (getpid() != process_) {
      throw DriverError(
          "a process that was forked after the GPU was used cannot use it: start "
          "processes by \"spawn\" or \"forkserver\", or use device=\"cpu\"");
    }
  }

  const std::unique_ptr<const Platform> platform_;
  Gpu gpu_;
  const std::unique_ptr<const KernelCompiler> compiler_;
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

#undef SLIM_ON_STREAM

}  // namespace

std::unique_ptr<Driver> open_driver(std::unique_ptr<const Platform> platform, int number) {
  return std::make_unique<NvidiaDriver>(std::move(platform), number);
}

}  // namespace nvidia
}  // namespace slim::cuda
