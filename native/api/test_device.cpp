// A second device for the tests: a CPU level's kernels with a memory of its own.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>

#include "api/api.h"
#include "cuda/device.h"
#include "cuda/emulated/machine.h"
#include "cuda/memory.h"
#include "runtime/device/device.h"
#include "runtime/train/steps.h"

namespace slim {
namespace {

namespace py = pybind11;

// Pages that nobody may touch but what runs on the device, while it does: host code that reads
// or writes a value where it lies ends the process. What is fresh holds NaN and -1.
class MirrorMemory final : public Memory {
 public:
  bool is_host() const override { return false; }

  std::byte* allocate(int64_t bytes) override {
    const size_t size = whole_pages(bytes);
    void* pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) throw std::bad_alloc();
    std::memset(pages, 0xff, size);
    const std::lock_guard lock(mutex_);
    auto* data = static_cast<std::byte*>(pages);
    blocks_.emplace(data, size);
    if (inside_ == 0) mprotect(pages, size, PROT_NONE);
    return data;
  }
  void release(std::byte* data) noexcept override {
    const std::lock_guard lock(mutex_);
    const auto block = blocks_.find(data);
    munmap(data, block->second);
    blocks_.erase(block);
  }
  void to_device(std::byte* to, const std::byte* from, int64_t bytes) noexcept override {
    const Inside inside(*this);
    require(holds(to), "a copy to it ends outside it");
    std::memcpy(to, from, static_cast<size_t>(bytes));
    ++copies_;
  }
  void to_host(std::byte* to, const std::byte* from, int64_t bytes) noexcept override {
    const Inside inside(*this);
    require(holds(from), "a copy from it begins outside it");
    std::memcpy(to, from, static_cast<size_t>(bytes));
    ++copies_;
  }
  void copy(std::byte* to, const std::byte* from, int64_t bytes) noexcept override {
    const Inside inside(*this);
    require(holds(to) && holds(from), "a copy within it leaves it");
    std::memcpy(to, from, static_cast<size_t>(bytes));
  }
  void fill(std::byte* to, uint8_t value, int64_t bytes) noexcept override {
    const Inside inside(*this);
    require(holds(to), "it is filled outside");
    std::memset(to, value, static_cast<size_t>(bytes));
  }

  // While one lives, the pages are open.
  class Inside {
   public:
    explicit Inside(MirrorMemory& memory) : memory_(memory) {
      const std::lock_guard lock(memory_.mutex_);
      if (memory_.inside_++ == 0) memory_.protect(PROT_READ | PROT_WRITE);
    }
    ~Inside() {
      const std::lock_guard lock(memory_.mutex_);
      if (--memory_.inside_ == 0) memory_.protect(PROT_NONE);
    }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    MirrorMemory& memory_;
  };

  bool holds(const std::byte* data) {
    const std::lock_guard lock(mutex_);
    auto block = blocks_.upper_bound(const_cast<std::byte*>(data));
    if (block == blocks_.begin()) return false;
    --block;
    return data < block->first + block->second;
  }
  static void require(bool fine, const char* what) {
    if (fine) return;
    std::fprintf(stderr, "the memory of the tests' device: %s\n", what);
    std::abort();
  }
  int64_t copies() const { return copies_; }
  int64_t blocks() {
    const std::lock_guard lock(mutex_);
    return static_cast<int64_t>(blocks_.size());
  }

 private:
  static size_t whole_pages(int64_t bytes) {
    constexpr size_t kPage = 4096;
    return (static_cast<size_t>(bytes) + kPage) / kPage * kPage;
  }
  void protect(int how) {
    for (const auto& [data, size] : blocks_) mprotect(data, size, how);
  }

  std::mutex mutex_;
  std::map<std::byte*, size_t> blocks_;
  int inside_ = 0;
  std::atomic<int64_t> copies_{0};
};

// What launches raised, until the host asks.
struct Raised {
  std::mutex mutex;
  std::map<const Context*, uint32_t> bits;

  void add(const Context& context, uint32_t some) {
    const std::lock_guard lock(mutex);
    bits[&context] |= some;
  }
  uint32_t take(const Context& context) {
    const std::lock_guard lock(mutex);
    const auto found = bits.find(&context);
    if (found == bits.end()) return 0;
    const uint32_t some = found->second;
    bits.erase(found);
    return some;
  }
};

class MirrorLaunch final : public Launch {
 public:
  MirrorLaunch(std::unique_ptr<Launch> launch, MirrorMemory& memory, Raised& raised)
      : launch_(std::move(launch)), memory_(memory), raised_(raised) {}

  int64_t tasks(int64_t rows) const override { return launch_->tasks(rows); }
  Cost cost(int64_t rows) const override { return launch_->cost(rows); }
  int64_t local_bytes() const override { return launch_->local_bytes(); }
  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    run_all(context, task, task + 1, local);
  }
  void run_all(const Context& context, int64_t first, int64_t last,
               std::byte* local) const noexcept override {
    for (const std::byte* base : context.base) {
      MirrorMemory::require(base == nullptr || memory_.holds(base), "a launch is given another");
    }
    Context own;
    std::copy(std::begin(context.base), std::end(context.base), own.base);
    own.sparse = context.sparse;
    own.rows = context.rows;
    own.first_row = context.first_row;
    own.step = context.step;
    own.seed = context.seed;
    const MirrorMemory::Inside inside(memory_);
    launch_->run_all(own, first, last, local);
    if (own.status != 0) raised_.add(context, own.status);
  }

 private:
  std::unique_ptr<Launch> launch_;
  MirrorMemory& memory_;
  Raised& raised_;
};

// The level's own, on the device from one end of a run to the other.
class MirrorSteps final : public Steps {
 public:
  MirrorSteps(std::unique_ptr<Steps> steps, MirrorMemory& memory)
      : steps_(std::move(steps)), memory_(memory) {}

  void begin(const uint32_t* order, const Report& so_far) override { steps_->begin(order, so_far); }
  const Report& run(int64_t first, int64_t last, const Rates& rates, Watch* watch) override {
    const MirrorMemory::Inside inside(memory_);
    return steps_->run(first, last, rates, watch);
  }
  bool agree(bool stop) noexcept override { return steps_->agree(stop); }
  void end() const override {
    const MirrorMemory::Inside inside(memory_);
    steps_->end();
  }
  Profile profile(int64_t steps, const double* rates) override {
    const MirrorMemory::Inside inside(memory_);
    return steps_->profile(steps, rates);
  }
  int lanes() const override { return steps_->lanes(); }
  bool alone() const override { return steps_->alone(); }
  int64_t launches_per_step() const override { return steps_->launches_per_step(); }
  int64_t scratch_bytes() const override { return steps_->scratch_bytes(); }

 private:
  std::unique_ptr<Steps> steps_;
  MirrorMemory& memory_;
};

class MirrorDevice final : public Device {
 public:
  MirrorDevice(std::string name, const Device& level) : name_(std::move(name)), level_(level) {}

  const std::string& name() const override { return name_; }
  const std::string& level() const override { return level_.level(); }
  const Accepts& accepts() const override { return level_.accepts(); }
  std::vector<int64_t> workspace(const Binding& binding) const override {
    return level_.workspace(binding);
  }
  Prepared prepare(const Binding& binding) const override {
    Prepared prepared = level_.prepare(binding);
    for (auto& launch : prepared.launches) {
      launch = std::make_unique<MirrorLaunch>(std::move(launch), memory_, raised_);
    }
    return prepared;
  }
  MirrorMemory& memory() const override { return memory_; }
  void finish(const Context& context) const noexcept override {
    if (const uint32_t bits = raised_.take(context)) context.raise(bits);
  }
  std::unique_ptr<Steps> steps(StepsRequest request) const override {
    const MirrorMemory::Inside inside(memory_);
    return std::make_unique<MirrorSteps>(level_.steps(std::move(request)), memory_);
  }

 private:
  std::string name_;
  const Device& level_;
  mutable MirrorMemory memory_;
  mutable Raised raised_;
};

void run_cuda_kernel(const std::vector<py::array>& arrays, const std::string& source,
                     int64_t blocks, int threads, int shared, bool together, bool record, int times,
                     bool gpu) {
  const std::unique_ptr<cuda::Driver> driver = gpu ? cuda::open_nvidia(0) : cuda::open_emulated();
  using Meet = cuda::Grid::Meet;
  const cuda::Grid grid{blocks, threads, shared, together ? Meet::anywhere : Meet::never};
  cuda::Refusals::Scope scope(driver->refusals());
  const std::unique_ptr<cuda::Module> code = driver->compile(source);
  const std::unique_ptr<cuda::Kernel> kernel = code->kernel("k0", grid);
  const std::unique_ptr<cuda::Stream> stream = driver->open_stream();
  std::vector<cuda::Piece<std::byte>> pieces;
  std::vector<void*> pointers;
  for (const py::array& array : arrays) {
    pieces.emplace_back(*driver, static_cast<size_t>(array.nbytes()));
    pointers.push_back(pieces.back().data());
    pieces.back().send(*stream, static_cast<const std::byte*>(array.data()), pieces.back().size());
  }
  const auto launch = [&] {
    driver->launch(*stream, *kernel, grid, pointers.data(), pointers.size() * sizeof(void*));
  };
  if (record) {
    driver->begin_recording(*stream);
    launch();
    const std::unique_ptr<cuda::Recording> recording = driver->end_recording(*stream);
    for (int i = 0; i < times; ++i) driver->replay(*stream, *recording);
    driver->wait(*stream);
  } else {
    for (int i = 0; i < times; ++i) launch();
  }
  for (size_t i = 0; i < arrays.size(); ++i) {
    auto* values = static_cast<std::byte*>(const_cast<void*>(arrays[i].data()));
    pieces[i].fetch(*stream, values, pieces[i].size());
  }
  driver->wait(*stream);
  if (const std::string error = driver->error(); !error.empty()) throw cuda::DriverError(error);
  scope.check("of the test");
}

}  // namespace

void bind_test_device(py::module_& module) {
  // The CUDA half, its kernels compiled and run on the host, and compiled by NVRTC if asked for.
  module.def(
      "register_emulated_device",
      [](const std::string& name, bool nvrtc, int64_t memory, const std::string& dnn,
         bool sixteen_bits) {
        Device::add(std::make_unique<cuda::CudaDevice>(
            name, cuda::open_emulated(nvrtc, memory, dnn, sixteen_bits)));
      },
      py::arg("name"), py::arg("nvrtc") = false, py::arg("memory") = int64_t{1} << 30,
      py::arg("dnn") = "", py::arg("sixteen_bits") = true);
  module.def("emulated_calls", &cuda::emulated_calls);
  // The call of libcuda's of this name, behind so many that work, gives this result.
  module.def("refuse_emulated_call", &cuda::refuse_emulated_call, py::arg("name"), py::arg("after"),
             py::arg("result"), py::arg("times") = 1);
  // One kernel of pointers, put on a stream `times` times at once; `record` as a recording.
  module.def("run_cuda_kernel", &run_cuda_kernel, py::arg("arrays"), py::arg("source"),
             py::arg("blocks"), py::arg("threads"), py::kw_only(), py::arg("shared") = 0,
             py::arg("together") = false, py::arg("record") = false, py::arg("times") = 1,
             py::arg("gpu") = false);
  // Gives a function that says how often the device's memory was copied to or from, and how many
  // pieces of it there are.
  module.def("register_test_device", [](const std::string& name, const std::string& level) {
    auto device = std::make_unique<MirrorDevice>(name, Device::find(level));
    MirrorMemory& memory = device->memory();
    Device::add(std::move(device));
    return py::cpp_function([&memory] { return py::make_tuple(memory.copies(), memory.blocks()); });
  });
  module.def("take_memory", [](const std::string& name, int64_t bytes) {
    Memory& memory = Device::find(name).memory();
    memory.release(memory.allocate(bytes));
  });
  // What must end the process.
  module.def("touch_test_device", [](const std::string& name) {
    Memory& memory = Device::find(name).memory();
    return static_cast<int>(*static_cast<volatile std::byte*>(memory.allocate(1)));
  });
}

}  // namespace slim
