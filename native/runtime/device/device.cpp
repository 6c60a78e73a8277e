// The devices of this process by name, and what to say of one that is not there.
#include "runtime/device/device.h"

#include <algorithm>
#include <mutex>
#include <stdexcept>

namespace slim {
namespace {

// A family of devices: `name`, `name:1`, `name:2` …
struct Offer {
  std::string name;
  std::function<std::unique_ptr<Device>(int)> open;
};

struct Added {
  std::mutex mutex;
  std::vector<std::unique_ptr<Device>> devices;
  std::vector<Offer> offers;

  const Device* find(std::string name) {
    if (name.size() > 2 && name.substr(name.size() - 2) == ":0") name.resize(name.size() - 2);
    for (const auto& device : devices) {
      if (device->name() == name) return device.get();
    }
    for (Offer& offer : offers) {
      const std::string family = offer.name + ':';
      if (name != offer.name && name.rfind(family, 0) != 0) continue;
      const std::string number = name == offer.name ? "0" : name.substr(family.size());
      const bool whole = !number.empty() && number.size() < 4 &&
                         number.find_first_not_of("0123456789") == number.npos;
      try {
        if (!whole) throw std::runtime_error(family + " needs a number behind it");
        devices.push_back(offer.open(std::stoi(number)));
        return devices.back().get();
      } catch (const std::runtime_error& error) {
        missing[name] = error.what();
      }
    }
    return nullptr;
  }
  void find_first_of_each() {
    for (const Offer& offer : offers) find(offer.name);
  }

  std::map<std::string, std::string> missing;  // what was asked for in vain, and why
};

// Never ends: contexts that are kept for later calls give their memory back to it.
Added& added() {
  static auto* all = new Added;
  return *all;
}

}  // namespace

const Device& Device::find(const std::string& name) {
  const bool first = name == "cpu" || name == "cpu:0";
  if (const Device* level = cpu_device(first ? best_isa() : name)) return *level;
  if (const Device* another = numbered_cpu(name)) return *another;
  {
    const std::lock_guard lock(added().mutex);
    if (const Device* device = added().find(name)) return *device;
  }
  std::string levels, others;
  for (const char* level : kCpuLevels) {
    if (cpu_device(level) != nullptr) levels += (levels.empty() ? "" : ", ") + std::string(level);
  }
  for (const std::string& known : names()) others += known == "cpu" ? "" : ", " + known;
  const auto missing = absent();
  const auto known = missing.find(name);
  const std::string why = known == missing.end() ? "" : ": " + known->second;
  throw std::invalid_argument("device " + name + " is not there" + why +
                              "; there are cpu (its best instruction set, or by name " + levels +
                              ")" + others);
}

bool Device::has(const std::string& name) {
  if (name == "cpu" || name == "cpu:0" || numbered_cpu(name) != nullptr) return true;
  const std::lock_guard lock(added().mutex);
  return added().find(name) != nullptr;
}

std::vector<std::string> Device::names() {
  std::vector<std::string> all{"cpu"};
  const std::lock_guard lock(added().mutex);
  added().find_first_of_each();
  for (const auto& device : added().devices) all.push_back(device->name());
  return all;
}

std::map<std::string, std::string> Device::absent() {
  const std::lock_guard lock(added().mutex);
  added().find_first_of_each();
  return added().missing;
}

void Device::offer(const std::string& name, std::function<std::unique_ptr<Device>(int)> open) {
  const std::lock_guard lock(added().mutex);
  added().offers.push_back({name, std::move(open)});
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
