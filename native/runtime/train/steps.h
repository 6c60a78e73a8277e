// Runs of steps, the part of training that a device does on its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/call/interrupt.h"
#include "runtime/plan/model.h"
#include "runtime/train/exchange.h"
#include "runtime/train/spans.h"
#include "runtime/train/update.h"

namespace slim {

struct StepsOptions {
  int64_t batch = 32;      // rows that run at once, on each rank
  int64_t accumulate = 1;  // so many of these make a step
  uint32_t seed = 0;
  int threads = 1;
  Updater::Clip clip;
  std::shared_ptr<Exchange> exchange;  // null: this is the only rank
};

// What changes from step to step: a row of numbers for each, the learning rate first.
struct Rates {
  const double* values = nullptr;  // of the step that `first` is
  int64_t columns = 1;
  int64_t first = 0;
  int64_t done = 0;  // steps before that one, in all epochs

  const double* row(int64_t step) const { return values + (step - first) * columns; }
  int64_t number(int64_t step) const { return done + step - first + 1; }  // 1 at the very first
};

// Of an epoch's steps so far.
struct Report {
  int64_t next = 0;  // the first step that is not done
  double loss_sum = 0;
  double weight_sum = 0;
  uint32_t status = 0;
  bool finite = true;  // the last objective

  bool refused() const { return status != 0 || !finite; }
};

struct StepsRequest {
  std::shared_ptr<const Model> model;
  BatchRule rule;  // of whole steps, over all ranks
  const std::vector<Source>& sources;
  const std::vector<uint32_t>& index;
  const StepsOptions& options;
  Arrays arrays;
  std::vector<Segment> segments;
  Hypers hypers;
  const std::vector<Scheduled>& scheduled;
};

// What a device implements: it has the arrays and the plans, and runs steps on its own. The order
// of the rows, rates, interrupts and results are the trainer's.
class Steps {
 public:
  virtual ~Steps() = default;

  // Begins an epoch, or goes on within one: the rows in their order, which stay where they are.
  virtual void begin(const uint32_t* order, const Report& so_far) = 0;
  // Runs steps of the epoch. Stops before an update whose objective is not finite and after one
  // that met a bad gradient or bad data. A `watch` may break a step off: it then did nothing.
  virtual const Report& run(int64_t first, int64_t last, const Rates& rates, Watch* watch) = 0;
  // Whether one of the ranks wants to end.
  virtual bool agree(bool stop) noexcept = 0;
  // After the last run: what the arrays have between parameters is zero again.
  virtual void end() const = 0;

  virtual Profile profile(int64_t steps, const double* rates) = 0;
  virtual int lanes() const = 0;
  virtual bool alone() const = 0;
  virtual int64_t launches_per_step() const = 0;
  virtual int64_t scratch_bytes() const = 0;
  // What a run of several steps takes at most, about. Of the CPU: other calls that begin or end
  // change how many lanes there are.
  virtual std::chrono::microseconds hold() const { return std::chrono::microseconds(1000); }
};

}  // namespace slim
