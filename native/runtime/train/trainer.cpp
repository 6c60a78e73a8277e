// Epochs: the order of their rows, runs of steps, looks at the clock.
#include "runtime/train/trainer.h"

#include <chrono>
#include <stdexcept>

namespace slim {
namespace {

// After an epoch that took longer the caller is asked before the next one: it may want to keep
// the weights, so that an interrupt need not wait for that epoch's end.
constexpr auto kLongEpoch = std::chrono::milliseconds(250);

}  // namespace

Trainer::Trainer(const std::shared_ptr<const Model>& model, const std::vector<Source>& sources,
                 std::vector<uint32_t> index, const TrainerOptions& options, const Arrays& arrays,
                 std::vector<Segment> segments, Hypers hypers,
                 const std::vector<Scheduled>& scheduled)
    : model_(model),
      shuffle_(options.shuffle),
      seed_(options.steps.seed),
      index_(std::move(index)),
      rule_{static_cast<int64_t>(index_.size()), 1},
      buckets_(sources),
      arrays_(model->device().memory(), model->layout(), arrays) {
  StepsOptions steps = options.steps;
  if (index_.empty()) throw std::invalid_argument("there are no rows to train on");
  if (steps.batch < 1) throw std::invalid_argument("batch_size must be 1 or more");
  if (steps.accumulate < 1) throw std::invalid_argument("accumulate must be 1 or more");
  steps.batch = std::min(steps.batch, rule_.rows);  // larger ones overflow
  const int64_t most = (rule_.rows + steps.batch - 1) / steps.batch;
  rule_.batch = std::min(rule_.rows, steps.batch * std::min(steps.accumulate, most));
  order_ = index_;
  steps_ = model->device().steps({model, rule_, sources, index_, steps, arrays_.arrays(),
                                  std::move(segments), std::move(hypers), scheduled});
}

void Trainer::order(uint64_t epoch) {
  if (!shuffle_ || ordered_ == epoch) return;
  shuffle_rows(index_, seed_, epoch, order_);
  buckets_.group(order_, rule_, seed_, epoch);
  ordered_ = epoch;
}

Epochs Trainer::run(const Start& start, int64_t steps, const double* rates, int64_t columns,
                    const Interrupt& interrupt, bool breaks) {
  Epochs done;
  Watch watch(interrupt);
  const auto attempt = model_->placing().attempt();
  arrays_.to_device();
  breaks = breaks && steps_->alone();  // others have no part in one rank's interrupt
  Start next = start;
  for (int64_t left = steps; left > 0;) {
    const auto begin = Watch::Clock::now();
    const int64_t last = std::min(this->steps(), next.step + left);
    const Rates table{rates + (steps - left) * columns, columns, next.step, next.done + next.step};
    EpochResult result = run_epoch(next, last, table, watch, breaks && left == steps);
    const bool whole = result.steps == last, refused = result.status != 0 || !result.finite;
    left -= last - next.step;
    if (whole || refused) done.results.push_back(std::move(result));
    done.interrupted = steps_->agree(watch.stopped());
    if (!whole || refused || done.interrupted) break;
    if (Watch::Clock::now() - begin > kLongEpoch) break;
    next = {next.epoch + 1, 0, next.done + last, 0, 0};
  }
  steps_->end();
  attempt->check();  // before the host has any of it
  arrays_.to_host();
  attempt->check();
  return done;
}

EpochResult Trainer::run_epoch(const Start& start, int64_t last, const Rates& rates, Watch& watch,
                               bool breaks) {
  order(start.epoch);
  Report report{start.step, start.loss_sum, start.weight_sum};
  steps_->begin(order_.data(), report);
  while (report.next < last && !report.refused() && !(breaks && watch.stopped())) {
    const auto from = Watch::Clock::now();
    const int64_t begin = report.next, end = std::min(last, begin + run_);
    // Only steps that are long themselves are broken off.
    report = steps_->run(begin, end, rates, breaks && run_ == 1 ? &watch : nullptr);
    const auto now = Watch::Clock::now();
    const auto took = now - from;
    if (end - begin == run_ && took < steps_->hold() / 2) run_ *= 2;
    if (took > steps_->hold() && run_ > 1) run_ /= 2;
    watch.look(now);
  }
  EpochResult result{report.loss_sum, report.weight_sum, report.next, report.next == steps(),
                     report.status,   report.finite,     {}};
  if (report.refused()) {
    const int64_t bad = rule_.begin(report.next);
    result.bad_rows.assign(order_.begin() + bad, order_.begin() + bad + rule_.count(report.next));
  }
  return result;
}

Profile Trainer::profile(int64_t steps, const std::vector<double>& rates) {
  const auto attempt = model_->placing().attempt();
  arrays_.to_device();
  steps_->begin(order_.data(), {});
  Profile profile = steps_->profile(steps, rates.data());
  attempt->check();
  arrays_.to_host();
  attempt->check();
  return profile;
}

}  // namespace slim
