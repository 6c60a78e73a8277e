// Which devices run a program: the parts that its text names, and the rest.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "runtime/device/device.h"

namespace slim {

// A program whose parts lie on several devices is run from the host, which keeps its arrays; what
// another device computes is sent there and fetched.
struct Placing {
  const Device* home = nullptr;                  // runs the plans
  std::map<std::string, const Device*> devices;  // by name in the text; empty where home runs all
  std::map<std::string, std::string> missing;    // named, but not there, and why

  // By name in the text, "" for what it names no device for: the device's name, "" for home.
  std::map<std::string, std::string> where() const;
  const Device& named(const std::string& device) const;
  // As a device's, of all.
  std::unique_ptr<Attempt> attempt() const;
};

// `rest` runs what the text names no device for. A device that is not there throws
// std::invalid_argument, or if `lenient`, its part runs where the rest does.
// What only the host computes, functions of the user's that the device does not accept and loops
// around them, is placed there.
void place_custom(Program& program, const Device& rest);

Placing placing_of(const Program& program, const Device& rest, bool lenient);

}  // namespace slim
