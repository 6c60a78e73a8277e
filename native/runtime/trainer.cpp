// The loop of an epoch: gather, gradient, look, update.
#include "runtime/trainer.h"

#include <chrono>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "runtime/bind.h"
#include "runtime/executor.h"
#include "runtime/freeze.h"
#include "runtime/team.h"

namespace slim {
namespace {

// Elements of one block of the update: weight, gradient and two slots stay in cache.
constexpr int64_t kUpdateBlock = 16384;
// How long lanes are held at most: other calls that begin or end change how many there are.
constexpr auto kHold = std::chrono::microseconds(1000);
constexpr auto kInterruptEvery = std::chrono::milliseconds(50);

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
  const int64_t last = rule_.count(steps() - 1);
  const auto plan = model_->plan("grad", rule_.capacity());
  check_sums(*plan);
  lanes_ = plan->useful_lanes(rule_.capacity(), allowed_lanes(options_.threads));
  if (plan->exact() && last != options_.batch && steps() > 1) {
    roads_.push_back(make_road(options_.batch, sources));
    roads_.push_back(make_road(last, sources));
  } else {
    roads_.push_back(make_road(rule_.capacity(), sources));
  }
  freeze_without_gradient(*model_, segments);
  Updater::Plans plans{model_->update_plan(kUpdateBlock), nullptr};
  const std::vector<RowGradient>& rows = plan->row_gradients();
  if (!rows.empty()) plans.compact = model_->update_plan(kUpdateBlock, true);
  updater_ = std::make_unique<Updater>(std::move(plans), model_->layout(), hypers_,
                                       std::move(segments), rows, arrays_, options_.clip, lanes_);
}

Trainer::Road Trainer::make_road(int64_t rows, const std::vector<Source>& sources) {
  Road road;
  road.plan = model_->plan("grad", rows);
  road.gathers = bind_sources(*road.plan, sources, index_);
  road.call = std::make_unique<Plan::Lease>(*road.plan, lanes_);
  CallContext& call = **road.call;
  road.plan->reserve(call, road.gathers, index_);
  arrays_.lend(call.context);
  call.context.base[static_cast<int>(Base::hyper)] = call.hyper.data();
  std::memcpy(call.hyper.data(), hypers_.data(), static_cast<size_t>(hypers_.bytes()));
  call.context.seed = options_.seed;
  return road;
}

int64_t Trainer::launches_per_step() const {
  const Plan& plan = *roads_[0].plan;
  return 1 + static_cast<int64_t>(plan.steps().size()) + updater_->launches();  // 1: the gather
}

int64_t Trainer::scratch_bytes() const {
  int64_t bytes = 0;
  for (const Road& road : roads_) {
    bytes += road.plan->scratch_bytes();
    for (const Arena& arena : (*road.call)->stored) bytes += arena.size();
  }
  return bytes;
}

Epochs Trainer::epochs(uint64_t first, int64_t count, int64_t first_step, const double* rates,
                       const Interrupt& interrupt) {
  Epochs done;
  stopped_ = false;
  looked_ = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < count && !done.interrupted && !stopped_; ++i) {
    const int64_t before = i * steps();
    const bool ended =
        run_epoch(first + static_cast<uint64_t>(i), first_step + before, rates + before, interrupt);
    done.interrupted = !ended;
    if (stopped_ || next_ == steps()) done.results.push_back(std::move(result_));
  }
  updater_->clean_padding(model_->layout());
  return done;
}

bool Trainer::run_epoch(uint64_t epoch, int64_t first_step, const double* rates,
                        const Interrupt& interrupt) {
  using Clock = std::chrono::steady_clock;
  if (options_.shuffle) shuffle_rows(index_, options_.seed, epoch, order_);
  result_ = EpochResult();
  next_ = 0;
  bool interrupted = false;
  while (next_ < steps() && !stopped_ && !interrupted) {
    const auto begin = Clock::now();
    const int64_t end = std::min(steps(), next_ + run_);
    const bool whole = end == next_ + run_;
    {
      const LaneGrant grant(lanes_);
      run_lanes(grant.lanes(), [&](const Lane& lane) { run_steps(end, first_step, rates, lane); });
    }
    const auto now = Clock::now();
    const auto took = now - begin;
    if (whole && took < kHold / 2) run_ *= 2;
    if (took > kHold && run_ > 1) run_ /= 2;
    if (interrupt && now - looked_ >= kInterruptEvery) {
      interrupted = !stopped_ && interrupt();
      looked_ = Clock::now();
    }
  }
  result_.steps = next_;
  if (stopped_) {
    const int64_t bad = rule_.begin(next_);
    result_.bad_rows.assign(order_.begin() + bad, order_.begin() + bad + rule_.count(next_));
  }
  return !interrupted;
}

void Trainer::run_steps(int64_t end, int64_t first_step, const double* rates,
                        const Lane& lane) noexcept {
  for (int64_t step = next_; step < end; ++step) {
    const Road& road = this->road(step);
    CallContext& call = **road.call;
    if (lane.first()) {
      call.context.rows = rule_.count(step);
      call.context.step = first_step + step + 1;  // 1 at the first, as the hyper step
      call.context.status.store(0, std::memory_order_relaxed);
    }
    lane.barrier();
    run_gathers(road.gathers, call, order_.data(), rule_.begin(step), lane);
    lane.barrier();
    run_plan(*road.plan, call, lane);
    lane.barrier();
    if (lane.first()) finish_forward(road, first_step + step, rates[step]);
    lane.barrier();
    if (stopped_) return;
    const uint32_t raised = updater_->run(call.context, lane);
    if (raised) call.context.raise(raised);
    lane.barrier();
    if (lane.first()) {
      result_.status = call.context.status;
      stopped_ = result_.status != 0;
      if (!stopped_) next_ = step + 1;
    }
    lane.barrier();
    if (stopped_) return;
  }
}

Profile Trainer::profile(int64_t steps, double learning_rate) {
  Profile profile;
  const FlushDenormals flush;
  const Road& road = roads_[0];
  CallContext& call = **road.call;
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t batch = step % std::max<int64_t>(1, this->steps() - 1);
    call.context.rows = rule_.count(batch);
    call.context.step = step + 1;
    profile.begin_round();
    profile.run_gathers(*road.plan, road.gathers, call, order_.data(), rule_.begin(batch));
    profile.run_plan(*road.plan, call);
    updater_->begin(static_cast<double>(step + 1), learning_rate);
    profile.time("update", "update", updater_->cost(call.context),
                 [&] { updater_->run(call.context, Lane(0, 1)); });
  }
  return profile;
}

void Trainer::finish_forward(const Road& road, int64_t step, double rate) noexcept {
  const Context& context = (*road.call)->context;
  const auto& returns = road.plan->returns();
  result_.status = context.status;
  result_.finite = std::isfinite(read_f64(returns[0], context));
  stopped_ = result_.status != 0 || !result_.finite;
  if (stopped_) return;
  result_.loss_sum += read_f64(returns[1], context);
  result_.weight_sum += read_f64(returns[2], context);
  updater_->begin(static_cast<double>(step + 1), rate);
}

}  // namespace slim
