// The CPU's levels as devices: kernels by op, the host's memory.
#include <map>
#include <tuple>
#include <utility>

#include "runtime/device/device.h"
#include "runtime/train/cpu_steps.h"

namespace slim {
namespace {

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(const KernelSet& kernels, std::string name = "cpu")
      : kernels_(kernels), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  const std::string& level() const override { return kernels_.isa; }
  const Accepts& accepts() const override { return accepts_; }
  std::vector<int64_t> workspace(const Binding& binding) const override {
    const auto row = kernels_.rows.find(binding.node.op);
    if (row == kernels_.rows.end() || row->second->workspace == nullptr) return {};
    return row->second->workspace(binding);
  }
  std::optional<Packing> packing(const Binding& binding) const override {
    const auto row = kernels_.rows.find(binding.node.op);
    if (row == kernels_.rows.end() || row->second->packing == nullptr) return {};
    return row->second->packing(binding);
  }
  Prepared prepare(const Binding& binding) const override {
    const auto row = kernels_.rows.find(binding.node.op);
    if (row != kernels_.rows.end()) return row->second->prepare(binding);
    binding.refuse("there is no kernel of this name for " + kernels_.isa);
  }
  Memory& memory() const override { return host_memory(); }
  std::unique_ptr<Steps> steps(StepsRequest request) const override {
    return std::make_unique<CpuSteps>(std::move(request));
  }

 private:
  const KernelSet& kernels_;
  std::string name_;
  Accepts accepts_;
};

}  // namespace

const Device* cpu_device(const std::string& level) {
  static const auto& devices = *[] {  // never ends: a thread may outlive it at exit
    auto* made = new std::map<std::string, CpuDevice>;
    for (const char* known : kCpuLevels) {
      if (const KernelSet* kernels = kernel_set(known)) made->emplace(known, *kernels);
    }
    return made;
  }();
  const auto found = devices.find(level);
  return found == devices.end() ? nullptr : &found->second;
}

const Device* numbered_cpu(const std::string& name) {
  static const auto& devices = *[] {
    auto* made = new std::map<std::string, CpuDevice>;
    for (int number = 1; number < kCpus; ++number) {
      const std::string own = "cpu:" + std::to_string(number);
      made->emplace(std::piecewise_construct, std::forward_as_tuple(own),
                    std::forward_as_tuple(*kernel_set(best_isa()), own));
    }
    return made;
  }();
  const auto found = devices.find(name);
  return found == devices.end() ? nullptr : &found->second;
}

}  // namespace slim
