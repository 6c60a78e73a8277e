// The loop of an epoch: gather, gradient, look, update.
#include "runtime/train/trainer.h"

#include <chrono>
#include <cmath>
#include <stdexcept>

#include "runtime/call/executor.h"
#include "runtime/call/team.h"
#include "runtime/data/bind.h"
#include "runtime/train/freeze.h"

namespace slim {
namespace {

// Elements of one block of the update: weight, gradient and two slots stay in cache.
constexpr int64_t kUpdateBlock = 16384;
// How long lanes are held at most: other calls that begin or end change how many there are.
constexpr auto kHold = std::chrono::microseconds(1000);
// After an epoch that took longer the caller is asked before the next one: it may want to keep
// the weights, so that an interrupt need not wait for that epoch's end.
constexpr auto kLongEpoch = std::chrono::milliseconds(250);

}  // namespace

Trainer::Trainer(std::shared_ptr<const Model> model, const std::vector<Source>& sources,
                 std::vector<uint32_t> index, const TrainerOptions& options, Arrays arrays,
                 std::vector<Segment> segments, Hypers hypers)
    : model_(std::move(model)),
      options_(options),
      index_(std::move(index)),
      rule_{static_cast<int64_t>(index_.size()), options.batch},
      arrays_(arrays),
      hypers_(std::move(hypers)) {
  if (index_.empty()) throw std::invalid_argument("there are no rows to train on");
  if (options_.batch < 1) throw std::invalid_argument("batch_size must be 1 or more");
  options_.batch = rule_.batch = std::min(options_.batch, rule_.rows);  // larger ones overflow
  order_ = index_;
  arrays_.hyper = hypers_.data();
  const Symbols symbols = bind_symbols(model_->function("grad"), sources);
  const auto plan = model_->plan("grad", rule_.capacity(), symbols);
  check_sums(*plan);
  lanes_ = plan->useful_lanes(rule_.capacity(), allowed_lanes(options_.threads), steps());
  batches_ = std::make_unique<BoundBatches>(*model_, "grad", rule_, sources, index_, arrays_,
                                            options_.seed, lanes_);
  freeze_without_gradient(*model_, segments);
  Updater::Plans plans{model_->update_plan(kUpdateBlock), nullptr,
                       model_->measure_plan(kUpdateBlock), model_->measured()};
  const std::vector<RowGradient>& rows = plan->row_gradients();
  if (!rows.empty()) plans.compact = model_->update_plan(kUpdateBlock, true);
  updater_ = std::make_unique<Updater>(std::move(plans), model_->layout(), hypers_,
                                       std::move(segments), rows, arrays_, options_.clip, lanes_);
}

int64_t Trainer::launches_per_step() const {
  const Plan& plan = batches_->of(0).plan.plan();
  return 1 + plan.launches() + updater_->launches();  // 1: the gather
}

int64_t Trainer::scratch_bytes() const {
  int64_t bytes = 0;
  for (const BoundBatches::Batch& batch : *batches_) {
    bytes += batch.plan.plan().scratch_bytes();
    for (const Arena& arena : batch.call->stored) bytes += arena.size();
  }
  return bytes;
}

Epochs Trainer::epochs(uint64_t first, int64_t count, int64_t first_step, const double* rates,
                       const Interrupt& interrupt, bool breaks) {
  Epochs done;
  stopped_ = false;
  Watch watch(interrupt);
  for (int64_t i = 0; i < count && !stopped_ && !watch.stopped(); ++i) {
    const auto begin = Watch::Clock::now();
    const int64_t before = i * steps();
    run_epoch(first + static_cast<uint64_t>(i), first_step + before, rates + before, watch,
              breaks && i == 0);
    if (stopped_ || next_ == steps()) done.results.push_back(std::move(result_));
    if (Watch::Clock::now() - begin > kLongEpoch) break;
  }
  done.interrupted = watch.stopped();
  updater_->clean_padding(model_->layout());
  return done;
}

void Trainer::run_epoch(uint64_t epoch, int64_t first_step, const double* rates, Watch& watch,
                        bool breaks) {
  if (options_.shuffle) shuffle_rows(index_, options_.seed, epoch, order_);
  result_ = EpochResult();
  raised_ = 0;
  for (const BoundBatches::Batch& batch : *batches_) batch.call->context.status = 0;
  next_ = 0;
  while (next_ < steps() && !stopped_ && !(breaks && watch.stopped())) {
    const auto start = Watch::Clock::now();
    const int64_t begin = next_, end = std::min(steps(), begin + run_);
    watch_ = breaks && run_ == 1 ? &watch : nullptr;  // only steps that are long themselves
    for (const BoundBatches::Batch& batch : *batches_) batch.call->watch = watch_;
    {
      const LaneGrant grant(lanes_);
      run_lanes(grant.lanes(),
                [&](const Lane& lane) { run_steps(begin, end, first_step, rates, lane); });
    }
    const auto now = Watch::Clock::now();
    const auto took = now - start;
    if (end - begin == run_ && took < kHold / 2) run_ *= 2;
    if (took > kHold && run_ > 1) run_ /= 2;
    stopped_ = next_ < end && !(watch_ != nullptr && watch.stopped());
    watch.look(now);
  }
  for (const BoundBatches::Batch& batch : *batches_) batch.call->watch = nullptr;
  result_.steps = next_;
  if (stopped_) {
    const int64_t bad = rule_.begin(next_);
    result_.bad_rows.assign(order_.begin() + bad, order_.begin() + bad + rule_.count(next_));
  }
}

// What the launches of a step read; no lane may still be running those of the step before.
void Trainer::prepare(int64_t step, int64_t first_step) noexcept {
  Context& context = batches_->of(step).call->context;
  context.rows = rule_.count(step);
  context.step = first_step + step + 1;  // 1 at the first, as the hyper step
}

// All lanes read the same facts after the same barrier, so each decides for itself to stop.
void Trainer::run_steps(int64_t begin, int64_t end, int64_t first_step, const double* rates,
                        const Lane& lane) noexcept {
  if (lane.first()) prepare(begin, first_step);
  lane.barrier();
  for (int64_t step = begin; step < end; ++step) {
    const auto& [bound, lease] = batches_->of(step);
    CallContext& call = *lease;
    if (lane.first()) updater_->begin(static_cast<double>(first_step + step + 1), rates[step]);
    bound.run(call, order_.data(), rule_.begin(step), lane);
    lane.barrier();
    if (watch_ != nullptr && watch_->stopped()) return;  // its launches did not all run
    const auto& returns = bound.plan().returns();
    const uint32_t status = call.context.status;
    const bool finite = std::isfinite(read_f64(returns[0], call.context));
    if (lane.first()) {
      result_.status = status;
      result_.finite = finite;
    }
    if (status != 0 || !finite) return;
    if (lane.first()) {
      result_.loss_sum += read_f64(returns[1], call.context);
      result_.weight_sum += read_f64(returns[2], call.context);
      if (step + 1 < end) prepare(step + 1, first_step);  // the update does not read it
    }
    if (const uint32_t bits = updater_->run(call.context, lane)) raised_ |= bits;
    lane.barrier();
    if (lane.first()) result_.status = raised_;
    if (raised_ != 0) return;
    if (lane.first()) {
      publish_state(bound.plan(), call.context);
      next_ = step + 1;
    }
  }
}

Profile Trainer::profile(int64_t steps, double learning_rate) {
  Profile profile;
  const FlushDenormals flush;
  const auto& [bound, lease] = batches_->of(0);
  CallContext& call = *lease;
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t batch = step % std::max<int64_t>(1, this->steps() - 1);
    call.context.rows = rule_.count(batch);
    call.context.step = step + 1;
    bound.profile(profile, call, order_.data(), rule_.begin(batch));
    updater_->begin(static_cast<double>(step + 1), learning_rate);
    profile.time(updater_.get(), "update", "update", updater_->cost(call.context),
                 [&] { updater_->run(call.context, Lane(0, 1)); });
  }
  return profile;
}

}  // namespace slim
