// The table that the runtime asks, answered for a GPU.
#include "cuda/device.h"

#include <cstdlib>

#include "cuda/call.h"
#include "cuda/custom.h"
#include "cuda/launch.h"
#include "cuda/library.h"
#include "cuda/steps.h"
#include "ir/ops.h"
#include "runtime/train/steps.h"

namespace slim::cuda {
namespace {

// Chains of elements run as one kernel, or behind a product in its own. Totals over the rows of a
// batch, or the elements of a parameter, stand among them: one block's work.
struct CudaAccepts final : Accepts {
  bool accepts_epilogue(const Node& product, const Graph&) const override {
    return !op_row(product).has(kRandom);
  }
  bool accepts_reduction(const Graph& graph, const Node& node) const override {
    const Type& terms = graph.values[static_cast<size_t>(node.operands[0])].type;
    return Accepts::accepts_reduction(graph, node) && terms.dims.size() == 1 &&
           (terms.dims[0].mentions("B") || terms.dims[0].mentions("P")) &&
           graph.values[static_cast<size_t>(node.results[0])].type.dims.empty();
  }
  bool accepts_pooling(const Graph&, const Node&, const Node&) const override { return false; }
  // For measurements a variable says no.
  bool accepts_sixteen_bits() const override {
    const char* wish = std::getenv("SLIM_CUDA_SIXTEEN_BITS");
    return wish == nullptr || wish != std::string("0");
  }
  // Products take rows that follow each other; convolutions all of a value, as libraries want it
  // aligned, and so do regions, in which nobody knows of what a value is a part.
  bool accepts_part(const Node& node, bool apart) const override {
    const bool is_convolution = node.op.find("convolution") != std::string::npos;
    const bool is_product = node.op == "matmul" || node.op == "csr_matmul";
    return !is_convolution && !runs_regions(node) && !(apart && is_product);
  }
  bool accepts_custom(const Node& node) const override {
    const auto found = node.attributes.find("gpu");
    return found != node.attributes.end() && std::get<bool>(found->second);
  }
};

}  // namespace

void DeviceMemory::copy(std::byte* to, const std::byte* from, int64_t bytes) noexcept {
  if (bytes == 0) return;
  const std::lock_guard lock(mutex_);
  driver_.copy(*stream_, to, from, bytes);
  driver_.wait(*stream_);
}

void DeviceMemory::fill(std::byte* to, uint8_t value, int64_t bytes) noexcept {
  if (bytes == 0) return;
  const std::lock_guard lock(mutex_);
  driver_.fill(*stream_, to, value, bytes);
  driver_.wait(*stream_);
}

CudaDevice::CudaDevice(std::string name, std::unique_ptr<Driver> driver)
    : name_(std::move(name)), driver_(std::move(driver)), memory_(*driver_) {
  const Properties& properties = driver_->properties();
  level_ = "sm_" + std::to_string(properties.major) + std::to_string(properties.minor);
}

std::string CudaDevice::description() const {
  const Properties& properties = driver_->properties();
  return properties.name + ", " + level_ + ", " + std::to_string(properties.memory >> 20) +
         " MiB, " + properties.versions + ", " +
         (driver_->products() != nullptr ? driver_->products()->version() : "no cuBLASLt") + ", " +
         driver_->about_convolutions();
}

const Accepts& CudaDevice::accepts() const {
  static const CudaAccepts accepts;
  return accepts;
}

std::vector<int64_t> CudaDevice::workspace(const Binding& binding) const {
  if (const auto library = find_library(binding, *driver_)) return library->workspace(binding);
  const Row* row = find_row(binding.node.op);
  return row == nullptr || row->workspace == nullptr ? std::vector<int64_t>()
                                                     : row->workspace(binding);
}

Prepared CudaDevice::prepare(const Binding& binding) const {
  if (binding.node.op == "custom") return std::make_unique<CustomLaunch>(binding, *driver_);
  const Row* row = find_row(binding.node.op);
  if (row == nullptr)
    binding.refuse("there is no kernel of this name for CUDA: use device=\"cpu\"");
  Prepared prepared;
  if (const auto library = find_library(binding, *driver_)) {
    prepared.launches = library->launches(binding);
    return prepared;
  }
  for (KernelText& text : row->prepare(binding)) {
    if (text.arguments.size() > kMostArguments) {
      binding.refuse("has more operands than a CUDA kernel takes");
    }
    prepared.launches.push_back(std::make_unique<KernelLaunch>(std::move(text)));
  }
  return prepared;
}

void CudaDevice::link(const std::vector<Launch*>& launches) const {
  std::vector<KernelLaunch*> kernels;
  for (Launch* launch : launches) {
    if (auto* kernel = dynamic_cast<KernelLaunch*>(launch)) kernels.push_back(kernel);
  }
  if (kernels.empty()) return;
  std::vector<const KernelText*> texts;
  for (const KernelLaunch* kernel : kernels) texts.push_back(&kernel->text());
  const std::shared_ptr<Module> module = driver_->compile(module_text(texts));
  for (size_t i = 0; i < kernels.size(); ++i) {
    kernels[i]->link(*driver_, module, "k" + std::to_string(i));
  }
}

std::unique_ptr<DeviceCall> CudaDevice::open_call() const { return OwnCall::open(*driver_); }

void CudaDevice::begin(const Context& context) const noexcept {
  static_cast<OwnCall&>(*context.call).send(context);
}

void CudaDevice::copy(const Context& context, std::byte* to, const std::byte* from,
                      int64_t bytes) const noexcept {
  driver_->copy(static_cast<Call&>(*context.call).stream, to, from, bytes);
}

void CudaDevice::copy(const Context& context, const Pieces& pieces) const noexcept {
  loop_kernels_->copy(static_cast<Call&>(*context.call).stream, pieces);
}

void CudaDevice::prepare_loop() const {
  std::call_once(loops_, [this] { loop_kernels_ = std::make_unique<LoopKernels>(*driver_); });
}

void CudaDevice::move_time(const Context& context) const noexcept {
  const auto& call = static_cast<const Call&>(*context.call);
  loop_kernels_->move_time(call.stream, call.facts, context);
}

void CudaDevice::finish(const Context& context) const noexcept {
  if (const uint32_t bits = static_cast<Call&>(*context.call).finish()) context.raise(bits);
}

Residents& CudaDevice::residents() const {
  std::call_once(resides_, [this] { residents_ = std::make_unique<Residents>(*driver_); });
  return *residents_;
}

void CudaDevice::prepare_gather(const Context& context, const Gather& gather, int64_t rows) const {
  const DType dtype = gather.buffer().dtype;
  const std::string to = c_type(dtype);
  gathering_of(gather) =
      &residents().copying(stored_type(gather.type()), dtype == DType::b8 ? "slim::Truth" : to, to);
  static_cast<OwnCall&>(*context.call).reserve(rows);
}

void CudaDevice::gather(const Context& context, const Gather& gather, const uint32_t* index,
                        int64_t first) const noexcept {
  const auto& call = static_cast<OwnCall&>(*context.call);
  StridedRows rows = strided(gather);
  rows.to = gather.buffer().in<void>(context);
  if (gather.by_row()) {
    rows.rows = context.rows;
    rows.first = index == nullptr ? first : 0;
    if (index != nullptr) rows.order = call.list(index + first, context.rows);
  }
  residents_->copy(call.stream, *gathering_of(gather), rows);
}

std::unique_ptr<Attempt> CudaDevice::attempt() const {
  struct Own final : Attempt {
    explicit Own(const CudaDevice& device) : device(device), scope(device.driver().refusals()) {}
    void check() override {
      const std::string error = device.driver().error();
      if (!error.empty()) throw LostDevice(device.name(), error);
      scope.check(device.name());
    }
    const CudaDevice& device;
    Refusals::Scope scope;
  };
  return std::make_unique<Own>(*this);
}

std::unique_ptr<Steps> CudaDevice::steps(StepsRequest request) const {
  const auto own = attempt();
  auto steps = std::make_unique<CudaSteps>(*this, std::move(request));
  own->check();
  return steps;
}

}  // namespace slim::cuda
