// The loop of the steps, and the gradient of a step that is cut into parts.
#include "runtime/train/cpu_steps.h"

#include <cmath>
#include <cstring>
#include <stdexcept>

#include "runtime/call/executor.h"
#include "runtime/call/team.h"
#include "runtime/train/freeze.h"
#include "runtime/train/guard.h"

namespace slim {
namespace {

// Elements of one block of the update: weight, gradient and two slots stay in cache.
constexpr int64_t kUpdateBlock = 16384;
// Of the sum of two gradients.
constexpr int64_t kAddBlock = 4096;

}  // namespace

CpuSteps::CpuSteps(StepsRequest request)
    : model_(std::move(request.model)),
      options_(request.options),
      rule_(request.rule),
      arrays_(request.arrays),
      hypers_(std::move(request.hypers)) {
  Memory& memory = model_->device().memory();
  if (!memory.is_host()) hypers_ = hypers_.copy(memory);
  arrays_.hyper = hypers_.data();
  Cut cut{options_.batch};
  if (!alone()) cut.rank = options_.exchange->rank(), cut.ranks = options_.exchange->ranks();
  if (std::min(rule_.rows, rule_.batch) < cut.ranks) {
    throw std::invalid_argument("a batch of " + std::to_string(std::min(rule_.rows, rule_.batch)) +
                                " rows is too small for " + std::to_string(cut.ranks) + " ranks");
  }
  spans_ = std::make_unique<Spans>(*model_, "grad", rule_, cut, request.sources, request.index,
                                   arrays_, options_.seed, options_.threads, rule_.steps());
  const Plan& plan = spans_->bound()[0].plan.plan();
  may_skip_ = check_sums(plan);
  whole_ = alone() && !spans_->cut();
  global_rows_ = hypers_.offset("global_rows");
  const std::vector<RowGradient>& rows = plan.row_gradients();
  if (!whole_) {
    if (global_rows_ < 0) {
      throw std::invalid_argument(
          "the gradients of a step's parts do not add up to its own: grad must divide by the hyper "
          "global_rows instead of its own rows");
    }
    if (!rows.empty()) {
      throw std::invalid_argument(
          "gradients that are rows cannot be added up: build the program without rows");
    }
    if (!alone() && !plan.staged().empty()) {
      throw std::invalid_argument(
          "the network updates state while it trains (batch normalization), which ranks would "
          "each do in their own way");
    }
    part_gradient_ = Arena(model_->layout().param_bytes, memory);
    memory.fill(part_gradient_.data(), 0, part_gradient_.size());
    if (!plan.staged().empty()) kept_state_ = Arena(model_->layout().state_bytes);
  }
  if (spans_->buckets() > 1 && !rows.empty()) {
    throw std::invalid_argument(
        "gradients that are rows cannot come from batches of several lengths: build the program "
        "without rows");
  }
  freeze_without_gradient(*model_, request.segments);
  Updater::Plans plans{{}, {}, model_->measure_plan(kUpdateBlock), model_->measured()};
  for (int64_t i = 0; i < std::max<int64_t>(1, model_->updates()); ++i) {
    plans.dense.push_back(model_->update_plan(kUpdateBlock, false, i));
    if (!rows.empty()) plans.compact.push_back(model_->update_plan(kUpdateBlock, true, i));
  }
  updater_ = std::make_unique<Updater>(std::move(plans), model_->layout(), hypers_,
                                       std::move(request.segments), request.scheduled, rows,
                                       arrays_, options_.clip, lanes());
}

int64_t CpuSteps::launches_per_step() const {
  const Plan& plan = spans_->bound()[0].plan.plan();
  const auto parts = static_cast<int64_t>(spans_->table()[0].parts.size());
  return parts * (1 + plan.launches()) + updater_->launches();  // 1: the gather
}

int64_t CpuSteps::scratch_bytes() const {
  int64_t bytes = 0;
  for (const Spans::Bound& bound : spans_->bound()) {
    bytes += bound.plan.plan().scratch_bytes();
    for (const Arena& arena : bound.call->stored) bytes += arena.size();
  }
  return bytes;
}

void CpuSteps::begin(const uint32_t* order, const Report& so_far) {
  order_ = order;
  report_ = so_far;
  raised_ = 0;
  for (const Spans::Bound& bound : spans_->bound()) bound.call->context.status = 0;
}

const Report& CpuSteps::run(int64_t first, int64_t last, const Rates& rates, Watch* watch) {
  watch_ = watch;
  for (const Spans::Bound& bound : spans_->bound()) bound.call->watch = watch;
  {
    const LaneGrant grant(lanes());
    run_lanes(grant.lanes(), [&](const Lane& lane) { run_lane(first, last, rates, lane); });
  }
  for (const Spans::Bound& bound : spans_->bound()) bound.call->watch = nullptr;
  return report_;
}

bool CpuSteps::agree(bool stop) noexcept {
  if (alone()) return stop;
  StepFacts facts;
  facts.stop = stop;
  options_.exchange->sum(nullptr, 0, DType::f32, facts);
  return facts.stop;
}

// What the launches of a part read; no lane may still be running those before it.
void CpuSteps::prepare(int64_t step, size_t index, const Rates& rates) noexcept {
  const Spans::Span& span = spans_->of(step);
  if (span.parts.empty()) return;
  const Spans::Part& part = span.parts[index];
  Context& context = bound_of(step, part).call->context;
  context.rows = part.rows;
  context.first_row = part.offset;
  context.step = rates.number(step);  // as the hyper step
  if (global_rows_ >= 0) {
    const auto rows = static_cast<double>(span.rows);
    std::memcpy(hypers_.data() + global_rows_, &rows, sizeof rows);
  }
  if (!whole_) {
    context.base[static_cast<int>(Base::gradient)] =
        index == 0 ? arrays_.gradient : part_gradient_.data();
  }
}

void CpuSteps::run_part(int64_t step, const Spans::Part& part, const Lane& lane) noexcept {
  const auto& [bound, lease] = bound_of(step, part);
  bound.run(*lease, order_, rule_.begin(step) + part.offset, lane);
  lane.barrier();
}

// All lanes read the same facts after the same barrier, so each decides for itself to stop.
void CpuSteps::run_lane(int64_t first, int64_t last, const Rates& rates,
                        const Lane& lane) noexcept {
  if (lane.first()) prepare(first, 0, rates);
  lane.barrier();
  for (int64_t step = first; step < last; ++step) {
    if (lane.first()) updater_->begin(static_cast<double>(rates.number(step)), rates.row(step));
    const Outcome outcome = whole_ ? gradient(step, lane) : gradient_of_parts(step, rates, lane);
    if (outcome == Outcome::refused || outcome == Outcome::broken_off) return;
    // The update does not read what the next step's launches do.
    if (lane.first() && step + 1 < last) prepare(step + 1, 0, rates);
    const Spans::Span& span = spans_->of(step);
    const Spans::Bound& bound =
        span.parts.empty() ? spans_->bound()[0] : bound_of(step, span.parts[0]);
    if (outcome == Outcome::updates) {
      if (const uint32_t bits = updater_->run(bound.call->context, lane)) raised_ |= bits;
    }
    lane.barrier();
    if (raised_ != 0) {
      if (!lane.first()) return;
      report_.status = raised_;
      restore_state();
      return;
    }
    if (lane.first()) {
      if (whole_) publish_state(bound.plan.plan(), *bound.call);
      report_.next = step + 1;
    }
  }
}

CpuSteps::Outcome CpuSteps::gradient(int64_t step, const Lane& lane) noexcept {
  const Spans::Part& part = spans_->of(step).parts[0];
  run_part(step, part, lane);
  if (watch_ != nullptr && watch_->stopped()) return Outcome::broken_off;  // not all launches ran
  const auto& [bound, lease] = bound_of(step, part);
  const Context& context = lease->context;
  const auto& returns = bound.plan().returns();
  const uint32_t status = context.status;
  const bool finite = std::isfinite(read_f64(returns[0], context));
  if (lane.first()) {
    report_.status = status;
    report_.finite = finite;
  }
  if (status != 0 || !finite) return Outcome::refused;
  if (lane.first()) {
    report_.loss_sum += read_f64(returns[1], context);
    report_.weight_sum += read_f64(returns[2], context);
  }
  return may_skip_ && read_f64(returns[3], context) == 0 ? Outcome::skips : Outcome::updates;
}

// Each part adds to those before it, then the ranks to each other. Every rank comes to the
// exchange, and all of them leave it with the same facts.
CpuSteps::Outcome CpuSteps::gradient_of_parts(int64_t step, const Rates& rates,
                                              const Lane& lane) noexcept {
  const Spans::Span& span = spans_->of(step);
  const int64_t bytes = model_->layout().param_bytes;
  if (lane.first()) {
    facts_ = StepFacts();
    skips_ = false;
    if (kept_state_.size() > 0) {
      std::memcpy(kept_state_.data(), arrays_.state, static_cast<size_t>(kept_state_.size()));
    }
    if (span.parts.empty()) std::memset(arrays_.gradient, 0, static_cast<size_t>(bytes));
  }
  for (size_t i = 0; i < span.parts.size(); ++i) {
    if (i > 0) {
      if (lane.first()) prepare(step, i, rates);
      lane.barrier();
    }
    const Spans::Part& part = span.parts[i];
    run_part(step, part, lane);
    if (watch_ != nullptr && watch_->stopped()) {
      if (lane.first()) restore_state();
      return Outcome::broken_off;
    }
    const auto& [bound, lease] = bound_of(step, part);
    const Context& context = lease->context;
    const auto& returns = bound.plan().returns();
    const uint32_t status = context.status;
    const double objective = read_f64(returns[0], context);
    if (lane.first()) {
      facts_.objective += objective;
      facts_.loss += read_f64(returns[1], context);
      facts_.weight += read_f64(returns[2], context);
      facts_.rows += part.rows;
      facts_.status |= status;
      skips_ |= may_skip_ && read_f64(returns[3], context) == 0;
      if (kept_state_.size() > 0) publish_state(bound.plan(), *lease);
    }
    if (status != 0 || !std::isfinite(objective)) break;
    if (i > 0) add(lane);
    lane.barrier();
  }
  if (!alone()) {
    lane.barrier();
    if (lane.first()) {
      const DType precision = model_->layout().precision;
      options_.exchange->sum(arrays_.gradient, bytes / size_of(precision), precision, facts_);
      const bool fine = facts_.status == 0 && std::isfinite(facts_.objective);
      if (fine && facts_.rows != span.rows) facts_.status = kRanksDiffer;
    }
  }
  lane.barrier();
  const bool finite = std::isfinite(facts_.objective);
  if (lane.first()) {
    report_.status = facts_.status;
    report_.finite = finite;
  }
  if (facts_.status != 0 || !finite) {
    if (lane.first()) restore_state();
    return Outcome::refused;
  }
  if (lane.first()) {
    report_.loss_sum += facts_.loss;
    report_.weight_sum += facts_.weight;
  }
  return skips_ ? Outcome::skips : Outcome::updates;
}

void CpuSteps::add(const Lane& lane) noexcept {
  const DType precision = model_->layout().precision;
  const int64_t size = size_of(precision), count = model_->layout().param_bytes / size;
  const int64_t blocks = (count + kAddBlock - 1) / kAddBlock;
  const int64_t begin = lane.begin(blocks) * kAddBlock;
  const int64_t end = std::min(lane.end(blocks) * kAddBlock, count);
  if (begin >= end) return;
  add_values(arrays_.gradient + begin * size, part_gradient_.data() + begin * size, end - begin,
             precision);
}

void CpuSteps::restore_state() noexcept {
  if (kept_state_.size() == 0) return;
  std::memcpy(arrays_.state, kept_state_.data(), static_cast<size_t>(kept_state_.size()));
}

Profile CpuSteps::profile(int64_t steps, const double* rates) {
  Profile profile;
  const FlushDenormals flush;
  const int64_t whole = std::max<int64_t>(1, rule_.steps() - 1);
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t batch = step % whole;
    const Spans::Part& part = spans_->of(batch).parts[0];
    const auto& [bound, lease] = bound_of(batch, part);
    const Context& context = lease->context;
    prepare(batch, 0, {rates, 1, batch, step});
    bound.profile(profile, *lease, order_, rule_.begin(batch) + part.offset);
    updater_->begin(static_cast<double>(step + 1), rates);
    profile.time(updater_.get(), "update", "update", updater_->cost(context),
                 [&] { updater_->run(context, Lane(0, 1)); });
  }
  return profile;
}

}  // namespace slim
