// Training: whole epochs of steps without leaving native code.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/call/interrupt.h"
#include "runtime/plan/model.h"
#include "runtime/train/bound_batches.h"
#include "runtime/train/update.h"

namespace slim {

struct TrainerOptions {
  int64_t batch = 32;
  uint32_t seed = 0;
  bool shuffle = true;
  int threads = 1;
  Updater::Clip clip;
};

struct EpochResult {
  double loss_sum = 0;    // Σ w·l
  double weight_sum = 0;  // Σ w
  int64_t steps = 0;      // finished
  uint32_t status = 0;
  bool finite = true;              // of the last objective
  std::vector<uint32_t> bad_rows;  // of the batch that stopped the epoch
};

struct Epochs {
  std::vector<EpochResult> results;  // fewer than wanted where they take long
  bool interrupted = false;          // after these, or within a first one that may break
};

class Trainer {
 public:
  Trainer(std::shared_ptr<const Model> model, const std::vector<Source>& sources,
          std::vector<uint32_t> index, const TrainerOptions& options, Arrays arrays,
          std::vector<Segment> segments, Hypers hypers);

  int64_t steps() const { return rule_.steps(); }
  // Trains `count` epochs; `first_step` counts the updates before them, rates has one rate a
  // step. Stops before an update whose objective is not finite and after one that met a bad
  // gradient or bad data. An interrupt waits for the epoch's end, or, if the first one `breaks`,
  // ends that between two launches: then the caller has the weights of its start.
  Epochs epochs(uint64_t first, int64_t count, int64_t first_step, const double* rates,
                const Interrupt& interrupt, bool breaks);

  // Times `steps` real steps from the epoch's first batch on, on one lane.
  Profile profile(int64_t steps, double learning_rate);

  int lanes() const { return lanes_; }
  int64_t launches_per_step() const;
  int64_t scratch_bytes() const;

 private:
  void run_epoch(uint64_t epoch, int64_t first_step, const double* rates, Watch& watch,
                 bool breaks);
  void run_steps(int64_t begin, int64_t end, int64_t first_step, const double* rates,
                 const Lane& lane) noexcept;
  void prepare(int64_t step, int64_t first_step) noexcept;

  std::shared_ptr<const Model> model_;
  TrainerOptions options_;
  std::vector<uint32_t> index_;
  std::vector<uint32_t> order_;
  BatchRule rule_;
  Arrays arrays_;
  Hypers hypers_;
  int lanes_;
  std::unique_ptr<BoundBatches> batches_;
  std::unique_ptr<Updater> updater_;
  int64_t run_ = 1;         // steps between two looks at the clock
  Watch* watch_ = nullptr;  // of steps that may be broken off
  // The running epoch: written by the first lane, read when all have ended.
  EpochResult result_;
  bool stopped_ = false;
  int64_t next_ = 0;
  std::atomic<uint32_t> raised_{0};  // by the updates of all lanes
};

}  // namespace slim
