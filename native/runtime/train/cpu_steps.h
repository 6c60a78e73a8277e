// Runs of steps on the CPU: gather, gradient, look, exchange, update, publish.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/train/spans.h"
#include "runtime/train/steps.h"
#include "runtime/train/update.h"

namespace slim {

// The arrays of the request lie where it may read and write them.
class CpuSteps final : public Steps {
 public:
  // Throws std::invalid_argument.
  explicit CpuSteps(StepsRequest request);

  void begin(const uint32_t* order, const Report& so_far) override;
  const Report& run(int64_t first, int64_t last, const Rates& rates, Watch* watch) override;
  bool agree(bool stop) noexcept override;
  void end() const override { updater_->clean_padding(model_->layout()); }

  Profile profile(int64_t steps, const double* rates) override;
  int lanes() const override { return spans_->lanes(); }
  bool alone() const override { return options_.exchange == nullptr; }
  int64_t launches_per_step() const override;
  int64_t scratch_bytes() const override;

 private:
  enum class Outcome { updates, skips, refused, broken_off };

  void run_lane(int64_t first, int64_t last, const Rates& rates, const Lane& lane) noexcept;
  void prepare(int64_t step, size_t part, const Rates& rates) noexcept;
  Outcome gradient(int64_t step, const Lane& lane) noexcept;
  Outcome gradient_of_parts(int64_t step, const Rates& rates, const Lane& lane) noexcept;
  const Spans::Bound& bound_of(int64_t step, const Spans::Part& part) const noexcept {
    return spans_->of(part, order_ + rule_.begin(step) + part.offset);
  }
  void run_part(int64_t step, const Spans::Part& part, const Lane& lane) noexcept;
  void add(const Lane& lane) noexcept;
  void restore_state() noexcept;

  std::shared_ptr<const Model> model_;
  StepsOptions options_;
  BatchRule rule_;
  Arrays arrays_;
  Hypers hypers_;
  int64_t global_rows_ = -1;  // where the hyper is
  bool may_skip_;             // grad says whether a step counts
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
  bool skips_ = false;               // a part of the step says so
  std::atomic<uint32_t> raised_{0};  // by the updates of all lanes
};

}  // namespace slim
