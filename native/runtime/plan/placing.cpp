// Finds the devices that a program's text names.
#include "runtime/plan/placing.h"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "ir/ops.h"

namespace slim {
namespace {

std::set<std::string> named_in(const Program& program) {
  std::set<std::string> names;
  for (const Function& function : program.functions) {
    for (const Value& value : function.graph.values) {
      if (!value.device.empty()) names.insert(value.device);
    }
    walk(function.graph, [&](const Graph&, const Node& node) {
      if (node.op == "placed") names.insert(std::get<std::string>(node.attributes.at("device")));
    });
  }
  return names;
}

bool is_processor(const std::string& name) { return name == "cpu" || name == "cpu:0"; }

}  // namespace

std::map<std::string, std::string> Placing::where() const {
  std::map<std::string, std::string> names;
  for (const auto& [name, device] : devices) names[name] = device == home ? "" : device->name();
  return names;
}

const Device& Placing::named(const std::string& device) const {
  for (const auto& [name, known] : devices) {
    if (known->name() == device || name == device) return *known;
  }
  return Device::find(device);
}

std::unique_ptr<Attempt> Placing::attempt() const {
  struct All final : Attempt {
    void check() override {
      for (const auto& each : attempts) {
        if (each) each->check();
      }
    }
    std::vector<std::unique_ptr<Attempt>> attempts;
  };
  auto all = std::make_unique<All>();
  all->attempts.push_back(home->attempt());
  for (const auto& [name, device] : devices) all->attempts.push_back(device->attempt());
  return all;
}

void place_custom(Program& program, const Device& rest) {
  const auto only_here = [&](const Node& node) {
    return node.op == "custom" && !rest.accepts().accepts_custom(node);
  };
  for (Function& function : program.functions) {
    for (const Node& node : function.graph.nodes) {
      bool found = only_here(node);
      for (const Graph& region : node.regions) {
        walk(region, [&](const Graph&, const Node& inner) { found |= only_here(inner); });
      }
      if (!found) continue;
      for (const ValueId id : node.results) {
        function.graph.values[static_cast<size_t>(id)].device = "cpu";
      }
    }
  }
}

Placing placing_of(const Program& program, const Device& rest, bool lenient) {
  Placing placing;
  const Device& host = rest.name() == "cpu" ? rest : Device::find("cpu");
  for (const std::string& name : named_in(program)) {
    const Device* device = is_processor(name) ? &host : nullptr;
    try {
      if (device == nullptr) device = &Device::find(name);
    } catch (const std::invalid_argument& error) {
      if (!lenient) {
        throw std::invalid_argument("layers.device(\"" + name +
                                    "\") of this network: " + error.what());
      }
      placing.missing[name] = error.what();
      device = &rest;
    }
    placing.devices[name] = device;
  }
  const bool whole = std::all_of(placing.devices.begin(), placing.devices.end(),
                                 [&](const auto& entry) { return entry.second == &rest; });
  if (whole) placing.devices.clear();
  placing.home = whole ? &rest : &host;
  if (!whole) placing.devices[""] = &rest;
  return placing;
}

}  // namespace slim
