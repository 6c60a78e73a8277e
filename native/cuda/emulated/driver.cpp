// A driver for tests: kernels are compiled by the host's compiler, and run when they are launched.
#include "cuda/driver.h"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "cuda/emulated/block.h"
#include "cuda/emulated/host_compiler.h"
#include "cuda/emulated/libraries.h"
#include "cuda/emulated/memory.h"
#include "cuda/nvidia/compiler.h"
#include "cuda/nvidia/dnn.h"
#include "runtime/call/team.h"

namespace slim::cuda {
namespace {

constexpr int kMostShared = 227 << 10;

// Kernels keep what a block shares in variables of their module: one runs at a time, whichever
// driver it belongs to.
std::mutex one_at_a_time;

using Work = std::function<void()>;

struct HostRecording final : Recording {
  std::vector<Work> works;
};

// What was put there and did not run yet. Events keep it beyond the stream.
struct Queue {
  std::deque<Work> works;
  int64_t ran = 0;
};

struct HostStream final : Stream {
  std::unique_ptr<HostRecording> recording;  // while there is one
  std::shared_ptr<Queue> queue = std::make_shared<Queue>();
};

struct HostEvent final : Event {
  std::shared_ptr<Queue> queue;
  int64_t place = 0;  // so much of it runs before
};

class EmulatedDriver final : public Driver, Products, Convolutions {
 public:
  EmulatedDriver(bool nvrtc, int64_t memory, const std::string& dnn, bool sixteen_bits)
      : sixteen_bits_(sixteen_bits) {
    if (!dnn.empty()) dnn_ = nvidia::Dnn::open({dnn}, no_dnn_);
    if (nvrtc) nvrtc_.emplace(9, 0, 13000);
    properties_.name = "emulated";
    properties_.major = 9;
    properties_.multiprocessors = 4;
    properties_.together = 3;
    properties_.memory = memory;
    properties_.versions = "kernels run on the host";
  }

  const Properties& properties() const override { return properties_; }
  int64_t own_free_memory() const override {
    const std::lock_guard lock(one_at_a_time);
    return properties_.memory - memory_.used();
  }

  std::byte* allocate_own(int64_t bytes) override {
    const std::lock_guard lock(one_at_a_time);
    if (recorder_ == std::this_thread::get_id()) {
      throw DriverError("memory is asked for while a stream is recorded");
    }
    const int64_t free = properties_.memory - memory_.used();
    std::byte* data = bytes > free ? nullptr : memory_.allocate(bytes);
    if (data == nullptr) throw OutOfMemory(properties_.name, bytes, free);
    return data;
  }
  void release_own(std::byte* data) noexcept override {
    const std::lock_guard lock(one_at_a_time);
    memory_.release(data);
  }
  bool holds(const std::byte* data) const override {
    const std::lock_guard lock(one_at_a_time);
    return memory_.holds(data);
  }
  std::byte* allocate_host(int64_t bytes) override {
    void* data = std::malloc(static_cast<size_t>(bytes));
    if (data == nullptr) throw OutOfMemory("the host", bytes, 0);
    std::memset(data, 0xff, static_cast<size_t>(bytes));
    const std::lock_guard lock(one_at_a_time);
    pinned_[static_cast<std::byte*>(data)] = bytes;
    return static_cast<std::byte*>(data);
  }
  void release_host(std::byte* data) noexcept override {
    const std::lock_guard lock(one_at_a_time);
    pinned_.erase(data);
    std::free(data);
  }

  std::unique_ptr<Stream> open_stream() override { return std::make_unique<HostStream>(); }
  void* handle(Stream& stream) const noexcept override { return &stream; }
  void wait_for(void* handle) override { wait(*static_cast<HostStream*>(handle)); }

  void copy(Stream& stream, std::byte* to, const std::byte* from, int64_t bytes) noexcept override {
    if (bytes == 0) return;
    std::shared_ptr<const std::vector<std::byte>> read;
    if (is_pageable(from)) {
      read = std::make_shared<const std::vector<std::byte>>(from, from + bytes);
    }
    put(stream, [this, to, lies = from, bytes, read] {
      const std::byte* from = read ? read->data() : lies;
      if (!memory_.is_within(to, bytes) || !memory_.is_within(from, bytes)) {
        return fail("a copy goes beyond its piece of memory");
      }
      std::memmove(to, from, static_cast<size_t>(bytes));
    });
  }
  void fill(Stream& stream, std::byte* to, uint8_t value, int64_t bytes) noexcept override {
    if (bytes == 0) return;
    put(stream, [this, to, value, bytes] {
      if (!memory_.is_within(to, bytes)) return fail("a fill goes beyond its piece of memory");
      std::memset(to, value, static_cast<size_t>(bytes));
    });
  }
  void launch(Stream& stream, const Kernel& kernel, const Grid& grid, const void* arguments,
              size_t bytes) noexcept override {
    const auto& host = static_cast<const HostKernel&>(kernel);
    const auto* first = static_cast<const std::max_align_t*>(arguments);
    std::vector<std::max_align_t> kept((bytes + sizeof *first - 1) / sizeof *first);
    std::memcpy(kept.data(), arguments, bytes);
    put(stream, [this, &host, grid, bytes, kept = std::move(kept)] {
      if (bytes != host.bytes) {
        return fail("kernel " + host.name + " takes " + std::to_string(host.bytes) +
                    " bytes of arguments, and is given " + std::to_string(bytes));
      }
      if (grid.blocks < 1 || grid.blocks > 0x7fffffff || grid.threads < 1 || grid.threads > 1024 ||
          grid.shared < 0 || grid.shared > kMostShared ||
          (grid.meet != Grid::Meet::never && grid.blocks > properties_.together)) {
        return fail("kernel " + host.name + " is launched on a grid that no GPU has");
      }
      run(host, grid, kept.data());
    });
  }
  void wait(Stream& stream) noexcept override {
    const std::lock_guard lock(one_at_a_time);
    auto& host = static_cast<HostStream&>(stream);
    if (host.recording) return fail("a stream is waited for while it is recorded");
    run_until(*host.queue, INT64_MAX);
  }

  std::unique_ptr<Event> open_event() override { return std::make_unique<HostEvent>(); }
  void mark(Event& event, Stream& stream) noexcept override {
    const std::lock_guard lock(one_at_a_time);
    auto& host = static_cast<HostEvent&>(event);
    host.queue = static_cast<HostStream&>(stream).queue;
    host.place = host.queue->ran + static_cast<int64_t>(host.queue->works.size());
  }
  void follow(Stream& stream, const Event& event) noexcept override {
    const auto& host = static_cast<const HostEvent&>(event);
    if (host.queue == nullptr) return;
    put(stream, [this, queue = host.queue, place = host.place] { run_until(*queue, place); });
  }
  void wait(const Event& event) noexcept override {
    const std::lock_guard lock(one_at_a_time);
    const auto& host = static_cast<const HostEvent&>(event);
    if (host.queue != nullptr) run_until(*host.queue, host.place);
  }

  void begin_recording(Stream& stream) override {
    const std::lock_guard lock(one_at_a_time);
    if (!error_.empty()) throw DriverError(error_);
    static_cast<HostStream&>(stream).recording = std::make_unique<HostRecording>();
    recorder_ = std::this_thread::get_id();
  }
  std::unique_ptr<Recording> end_recording(Stream& stream) override {
    const std::lock_guard lock(one_at_a_time);
    recorder_ = {};
    if (!error_.empty()) throw DriverError(error_);
    return std::move(static_cast<HostStream&>(stream).recording);
  }
  void replay(Stream& stream, const Recording& recording) noexcept override {
    for (const Work& work : static_cast<const HostRecording&>(recording).works) put(stream, work);
  }

  std::unique_ptr<Module> compile(const std::string& source) override {
    if (nvrtc_) nvrtc_->compile(source);
    return HostModule::compile(source);
  }

  Products* products() override { return this; }
  std::string version() const override { return "products on the host"; }
  std::shared_ptr<const Product> choose(const Multiplication& what) override {
    if (!sixteen_bits_ && is_sixteen_bits(what.dtype)) return nullptr;
    return std::make_shared<HostProduct>(what);
  }
  // All of what a library may touch must be there.
  void multiply(Stream& stream, const Product& product, const std::byte* a, const std::byte* b,
                std::byte* result, std::byte* workspace) noexcept override {
    require_warm(stream, multiplied_, static_cast<const HostProduct&>(product).what);
    put(stream, [this, host = static_cast<const HostProduct&>(product), a, b, result, workspace] {
      if (!host.is_within(memory_, a, b, result, workspace)) {
        return fail("a product goes beyond its piece of memory");
      }
      if (!host.is_aligned(a, b, result, workspace)) {
        return fail("an array of a product is less aligned than was promised");
      }
      host.multiply(a, b, result, workspace);
    });
  }

  Convolutions* convolutions() override { return dnn_ ? this : nullptr; }
  std::string about_convolutions() override {
    return dnn_ ? dnn_->description() : "no cuDNN" + (no_dnn_.empty() ? "" : " (" + no_dnn_ + ')');
  }
  std::string description() const override { return dnn_->description(); }
  std::shared_ptr<const ConvolutionPlan> choose(const ConvolutionShape& shape) override {
    return dnn_->choose(shape);
  }
  void convolve(Stream& stream, const ConvolutionPlan& plan,
                const ConvolutionArrays& arrays) noexcept override {
    require_warm(stream, convolved_, plan.shape);
    put(stream, [this, &plan, arrays] {
      if (!is_within(memory_, plan, arrays)) {
        return fail("a convolution goes beyond its piece of memory");
      }
      if (const std::string why = dnn_->run(nullptr, plan, arrays); !why.empty()) fail(why);
    });
  }

  std::string error() const override {
    const std::lock_guard lock(one_at_a_time);
    return error_;
  }

 private:
  // What a library does when it is first asked for something it may not do in a recording.
  template <class What>
  void require_warm(Stream& stream, std::set<What>& known, const What& what) {
    const std::lock_guard lock(one_at_a_time);
    const bool is_first = known.insert(what).second;
    if (is_first && static_cast<HostStream&>(stream).recording) {
      fail("a library is called first while a stream is recorded");
    }
  }

  void put(Stream& stream, Work work) noexcept {
    const std::lock_guard lock(one_at_a_time);
    if (!error_.empty()) return;
    if (auto& recording = static_cast<HostStream&>(stream).recording) {
      recording->works.push_back(std::move(work));
      return;
    }
    static_cast<HostStream&>(stream).queue->works.push_back(std::move(work));
  }

  // Nothing runs before somebody waits for it, so that what is not waited for is not there.
  void run_until(Queue& queue, int64_t place) {
    while (queue.ran < place && !queue.works.empty() && error_.empty()) {
      const Work work = std::move(queue.works.front());
      queue.works.pop_front();
      ++queue.ran;
      memory_.open();
      work();
      memory_.close();
    }
  }

  // Neither the device's nor pinned: a copy reads it at once.
  bool is_pageable(const std::byte* data) const {
    const std::lock_guard lock(one_at_a_time);
    if (memory_.holds(data)) return false;
    auto piece = pinned_.upper_bound(data);
    return piece == pinned_.begin() || data >= (--piece)->first + piece->second;
  }

  void run(const HostKernel& kernel, const Grid& grid, const void* arguments) {
    const FlushDenormals flush;
    static auto& runner = *new BlockRunner;
    Now& now = *kernel.now;
    std::vector<std::max_align_t> shared(static_cast<size_t>(grid.shared) / sizeof(max_align_t) +
                                         8);
    now.block_size = {static_cast<uint32_t>(grid.threads), 1, 1};
    now.grid = {static_cast<uint32_t>(grid.blocks), 1, 1};
    now.dynamic = shared.data();
    std::memset(shared.data(), 0xff, shared.size() * sizeof shared[0]);
    const bool together = grid.meet != Grid::Meet::never;
    const std::string why = runner.run(kernel.call, arguments, now, together);
    if (!why.empty()) fail("kernel " + kernel.name + ": " + why);
  }

  void fail(const std::string& what) {
    if (error_.empty()) error_ = what;
  }

  const bool sixteen_bits_;
  std::optional<nvidia::Compiler> nvrtc_;
  std::unique_ptr<nvidia::Dnn> dnn_;
  std::string no_dnn_;  // why there is none
  Properties properties_;
  GuardedMemory memory_;
  std::map<const std::byte*, int64_t> pinned_;  // bytes of each piece
  std::thread::id recorder_;
  std::set<Multiplication> multiplied_;  // once at least
  std::set<ConvolutionShape> convolved_;
  std::string error_;
};

}  // namespace

std::unique_ptr<Driver> open_emulated(bool nvrtc, int64_t memory, const std::string& dnn,
                                      bool sixteen_bits) {
  return std::make_unique<EmulatedDriver>(nvrtc, memory, dnn, sixteen_bits);
}

}  // namespace slim::cuda
