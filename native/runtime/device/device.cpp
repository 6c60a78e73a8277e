// The devices of this process by name, and what to say of one that is not there.
#include "runtime/device/device.h"

#include <dlfcn.h>

#include <mutex>
#include <stdexcept>

namespace slim {
namespace {

struct Added {
  std::mutex mutex;
  std::vector<std::unique_ptr<Device>> devices;

  const Device* find(const std::string& name) const {
    for (const auto& device : devices) {
      if (device->name() == name) return device.get();
    }
    return nullptr;
  }
};

// Never ends: contexts that are kept for later calls give their memory back to it.
Added& added() {
  static auto* all = new Added;
  return *all;
}

bool has_cuda_driver() {
  void* driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (driver != nullptr) dlclose(driver);
  return driver != nullptr;
}

}  // namespace

const Device& Device::find(const std::string& name) {
  if (const Device* level = cpu_device(name == "cpu" ? best_isa() : name)) return *level;
  {
    const std::lock_guard lock(added().mutex);
    if (const Device* device = added().find(name)) return *device;
  }
  std::string levels, others;
  for (const char* level : kCpuLevels) {
    if (cpu_device(level) != nullptr) levels += (levels.empty() ? "" : ", ") + std::string(level);
  }
  for (const std::string& known : names()) others += known == "cpu" ? "" : ", " + known;
  const auto known = absent().find(name);
  const std::string why = known == absent().end() ? "" : ": " + known->second;
  throw std::invalid_argument("device " + name + " is not there" + why +
                              "; there are cpu (its best instruction set, or by name " + levels +
                              ")" + others);
}

std::vector<std::string> Device::names() {
  std::vector<std::string> all{"cpu"};
  const std::lock_guard lock(added().mutex);
  for (const auto& device : added().devices) all.push_back(device->name());
  return all;
}

const std::map<std::string, std::string>& Device::absent() {
  static const std::map<std::string, std::string> all = {
      {"cuda", std::string("this build of slimlearn has no kernels for GPUs") +
                   (has_cuda_driver() ? "" : ", and no NVIDIA driver (libcuda.so.1) is found")}};
  return all;
}

void Device::add(std::unique_ptr<Device> device) {
  const std::lock_guard lock(added().mutex);
  const std::string& name = device->name();
  if (name == "cpu" || cpu_device(name) != nullptr || added().find(name) != nullptr) {
    throw std::invalid_argument("there is a device " + name + " already");
  }
  added().devices.push_back(std::move(device));
}

}  // namespace slim
