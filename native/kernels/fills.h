// What a launch says that writes the same each time: the zeros of a pad.
#pragma once

#include <vector>

#include "kernels/kernel.h"

namespace slim {

// Beside Launch, of few of them.
class Fills {
 public:
  virtual ~Fills() = default;
  // All that the launch writes, if that is the same each time, whatever anybody else wrote: it
  // reads nothing then. None: its node's results, of its operands.
  virtual std::vector<Buffer> fills() const = 0;

  static std::vector<Buffer> of(const Launch* launch) {
    const auto* fills = dynamic_cast<const Fills*>(launch);
    return fills != nullptr ? fills->fills() : std::vector<Buffer>{};
  }
};

}  // namespace slim
