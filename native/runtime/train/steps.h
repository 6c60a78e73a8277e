// Runs of steps on the CPU: gather, gradient, look, exchange, update, publish.
#pragma once

#include <atomic>
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

// What a device implements: it has the arrays and the plans, and runs steps on its own. The order
// of the rows, rates, interrupts and results are the trainer's.
class Steps {
 public:
  // Throws std::invalid_argument. `rule` is of whole steps, over all ranks.
  Steps(std::shared_ptr<const Model> model, const BatchRule& rule,
        const std::vector<Source>& sources, const std::vector<uint32_t>& index,
        const StepsOptions& options, Arrays arrays, std::vector<Segment> segments, Hypers hypers,
        const std::vector<Scheduled>& scheduled);

  // Begins an epoch, or goes on within one: the rows in their order, which stay where they are.
  void begin(const uint32_t* order, const Report& so_far);
  // Runs steps of the epoch. Stops before an update whose objective is not finite and after one
  // that met a bad gradient or bad data. A `watch` may break a step off: it then did nothing.
  const Report& run(int64_t first, int64_t last, const Rates& rates, Watch* watch);
  // Whether one of the ranks wants to end.
  bool agree(bool stop) noexcept;
  // After the last run: what the arrays have between parameters is zero again.
  void end() const { updater_->clean_padding(model_->layout()); }

  Profile profile(int64_t steps, const double* rates);
  int lanes() const { return spans_->lanes(); }
  bool alone() const { return options_.exchange == nullptr; }
  int64_t launches_per_step() const;
  int64_t scratch_bytes() const;

 private:
  enum class Outcome { updates, refused, broken_off };

  void run_lane(int64_t first, int64_t last, const Rates& rates, const Lane& lane) noexcept;
  void prepare(int64_t step, size_t part, const Rates& rates) noexcept;
  Outcome gradient(int64_t step, const Lane& lane) noexcept;
  Outcome gradient_of_parts(int64_t step, const Rates& rates, const Lane& lane) noexcept;
  void run_part(int64_t step, const Spans::Part& part, const Lane& lane) noexcept;
  void add(const Lane& lane) noexcept;
  void restore_state() noexcept;

  std::shared_ptr<const Model> model_;
  StepsOptions options_;
  BatchRule rule_;
  Arrays arrays_;
  Hypers hypers_;
  int64_t global_rows_ = -1;  // where the hyper is
  bool whole_;                // every step is one part, of this rank alone
  std::unique_ptr<Spans> spans_;
  std::unique_ptr<Updater> updater_;
  Arena part_gradient_;  // of a step's parts but the first
  Arena kept_state_;     // as the step found it, where its parts set state one after the other
  const uint32_t* order_ = nullptr;
  Watch* watch_ = nullptr;
  // Written by the first lane, read by all after a barrier.
  Report report_;
  StepFacts facts_;
  std::atomic<uint32_t> raised_{0};  // by the updates of all lanes
};

}  // namespace slim
