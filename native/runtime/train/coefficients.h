// The numbers that one stretch of the parameters is updated by, and those that change by step.
#pragma once

#include <cstddef>
#include <vector>

#include "runtime/train/guard.h"
#include "runtime/train/segments.h"

namespace slim {

class Hypers;

// The hypers as the update of a segment reads them. Behind them, where gradients are clipped,
// stand its penalties: they are then added before, and not by the update.
struct Coefficients {
  // Where a step's number goes: base + scale · it, `at` bytes from the image's begin.
  struct Target {
    int64_t at;
    double base;
    double scale;
    int64_t column;
  };

  // `scheduled` are hypers that all segments have. Throws std::invalid_argument for a
  // coefficient that the update does not read.
  Coefficients(const Segment& segment, const Hypers& hypers,
               const std::vector<Scheduled>& scheduled, bool clips);

  static int64_t penalty_at(const Hypers& hypers);

  std::vector<std::byte> image;
  std::vector<Target> targets;
};

// Of one hyper; throws std::invalid_argument if the program does not declare it.
Coefficients::Target target_of(const Scheduled& scheduled, const Hypers& hypers);

}  // namespace slim
