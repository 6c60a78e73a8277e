// Training: whole epochs of steps without leaving native code.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/call/arrays.h"
#include "runtime/call/interrupt.h"
#include "runtime/train/steps.h"

namespace slim {

struct TrainerOptions {
  StepsOptions steps;
  bool shuffle = true;
};

// Where a run begins.
struct Start {
  uint64_t epoch = 0;
  int64_t step = 0;     // of that epoch
  int64_t done = 0;     // steps of all epochs before that one
  double loss_sum = 0;  // of that epoch's steps before
  double weight_sum = 0;
};

// An epoch, or as much of it as was run.
struct EpochResult {
  double loss_sum = 0;    // Σ w·l, of all its steps so far
  double weight_sum = 0;  // Σ w
  int64_t steps = 0;      // done so far
  bool ended = false;
  uint32_t status = 0;
  bool finite = true;              // of the last objective
  std::vector<uint32_t> bad_rows;  // of the batch that stopped it
};

struct Epochs {
  std::vector<EpochResult> results;  // of fewer steps than wanted where they take long
  bool interrupted = false;          // after these, or within a first one that may break
};

class Trainer {
 public:
  Trainer(const std::shared_ptr<const Model>& model, const std::vector<Source>& sources,
          std::vector<uint32_t> index, const TrainerOptions& options, const Arrays& arrays,
          std::vector<Segment> segments, Hypers hypers, const std::vector<Scheduled>& scheduled);

  int64_t steps() const { return rule_.steps(); }
  // Trains so many steps, from one epoch into the next; `rates` has a row of `columns` numbers
  // for each. Ends where a step is refused. An interrupt waits for the epoch's end, or that of
  // the steps, or, if the first epoch `breaks`, ends that between two launches: then the caller
  // has the weights of its start.
  Epochs run(const Start& start, int64_t steps, const double* rates, int64_t columns,
             const Interrupt& interrupt, bool breaks);

  // Times `steps` real steps from the epoch's first batch on, on one lane.
  Profile profile(int64_t steps, const std::vector<double>& rates);

  int lanes() const { return steps_->lanes(); }
  int64_t launches_per_step() const { return steps_->launches_per_step(); }
  int64_t scratch_bytes() const { return steps_->scratch_bytes(); }

 private:
  EpochResult run_epoch(const Start& start, int64_t last, const Rates& rates, Watch& watch,
                        bool breaks);
  void order(uint64_t epoch);

  const std::shared_ptr<const Model> model_;
  bool shuffle_;
  uint32_t seed_;
  std::vector<uint32_t> index_;
  std::vector<uint32_t> order_;
  uint64_t ordered_ = UINT64_MAX;  // the epoch whose order that is
  BatchRule rule_;
  Buckets buckets_;
  DeviceArrays arrays_;
  std::unique_ptr<Steps> steps_;  // on them
  int64_t run_ = 1;               // steps between two looks at the clock
};

}  // namespace slim
