// Runs the update over blocks that stay in cache: guard, then the tape, in place.
#include "runtime/train/update.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "runtime/call/executor.h"
#include "runtime/train/guard.h"

namespace slim {
namespace {

// Elements of a block, the least that is worth a lane; a lane runs neighbours at once.
constexpr int64_t kBlock = 1024;

}  // namespace

Hypers::Hypers(const Program& program, const Layout& layout) : values_(layout.hyper_bytes) {
  for (size_t i = 0; i < program.declarations.size(); ++i) {
    const Declaration& declaration = program.declarations[i];
    if (declaration.kind == DeclarationKind::hyper) {
      offsets_[declaration.name] = layout.places[i].offset;
    }
  }
}

Hypers Hypers::copy(Memory& memory) const {
  Hypers same;
  same.offsets_ = offsets_;
  same.values_ = Arena(values_.size(), memory);
  memory.to_device(same.values_.data(), values_.data(), values_.size());
  return same;
}

int64_t Hypers::offset(const std::string& name) const {
  const auto found = offsets_.find(name);
  return found == offsets_.end() ? -1 : found->second;
}

void Hypers::set_if_declared(const std::string& name, double value) {
  const int64_t at = offset(name);
  if (at >= 0) std::memcpy(values_.data() + at, &value, sizeof value);
}

void Hypers::set(const std::string& name, double value) {
  if (offset(name) < 0) {
    throw std::invalid_argument("this program declares no hyper " + name);
  }
  set_if_declared(name, value);
}

Updater::Updater(Plans plans, const Layout& layout, Hypers& hypers, std::vector<Segment> segments,
                 const std::vector<Scheduled>& scheduled, const std::vector<RowGradient>& rows,
                 Arrays arrays, Clip clip, int lanes)
    : plans_(std::move(plans.dense)),
      precision_(layout.precision),
      arrays_(arrays),
      clip_(clip),
      step_offset_(hypers.offset("step")),
      scale_offset_(hypers.offset("gradient_scale")),
      penalty_at_(Coefficients::penalty_at(hypers)) {
  const int64_t size = size_of(precision_), total = layout.param_bytes / size;
  Memory& memory = plans_[0]->device().memory();
  const auto rows_of = [&](const Segment& segment) {
    return std::find_if(rows.begin(), rows.end(), [&](const RowGradient& gradient) {
      return gradient.offset == segment.offset * size;
    });
  };
  const auto alone = [&](const Segment& segment) {
    return plans.measure != nullptr || rows_of(segment) != rows.end();
  };
  if (clip_.norm > 0 && scale_offset_ < 0) {
    throw std::invalid_argument("clipping by norm needs the hyper gradient_scale in update");
  }
  for (const Scheduled& one : scheduled) schedule(target_of(one, hypers), hypers.data());
  std::vector<Measure::Span> spans;
  for (const Segment& segment : join_segments(std::move(segments), layout, alone)) {
    const int64_t end = std::min(total, round_up((segment.offset + segment.length) * size) / size);
    const auto compact = rows_of(segment);
    if (plans.measure && compact != rows.end()) refuse_sums_of_rows(*compact);
    const size_t update = check_update(segment, plans_.size());
    const Coefficients own(segment, hypers, scheduled, clips());
    groups_.push_back(
        {segment.offset, end, update, Arena(static_cast<int64_t>(own.image.size()), memory)});
    std::byte* hyper = groups_.back().hyper.data();
    std::memcpy(hyper, own.image.data(), own.image.size());
    for (const Coefficients::Target& target : own.targets) schedule(target, hyper);
    if (compact != rows.end()) {
      groups_.back().end = segment.offset;
      rows_.emplace_back(plans.compact[update], layout, *compact, hyper, penalty_at_, arrays_,
                         lanes);
    }
    if (plans.measure) {
      spans.push_back({segment.offset, segment.offset + segment.length, hyper});
    }
  }
  if (plans.measure) {
    measure_.emplace(std::move(plans.measure), places_of_sums(plans.measured, hypers),
                     std::move(spans), arrays_, size_of(precision_), lanes);
  }
  for (size_t g = 0; g < groups_.size(); ++g) {
    for (int64_t begin = groups_[g].begin; begin < groups_[g].end; begin += kBlock) {
      blocks_.push_back({static_cast<int32_t>(g), begin, std::min(begin + kBlock, groups_[g].end)});
    }
  }
  partial_.resize(blocks_.size());
  for (const auto& plan : plans_) {
    leases_.emplace_back();
    for (int i = 0; i < lanes; ++i) leases_.back().emplace_back(*plan, 1);
  }
}

void Updater::set_all(int64_t offset, double value) {
  if (offset < 0) return;
  for (const Group& group : groups_) {
    std::memcpy(group.hyper.data() + offset, &value, sizeof value);
  }
}

void Updater::schedule(const Coefficients::Target& target, std::byte* image) {
  targets_.push_back({target.column, image + target.at, target.base, target.scale});
}

void Updater::begin(double step, const double* rates) noexcept {
  set_all(step_offset_, step);
  for (const Target& target : targets_) {
    const double value = target.base + target.scale * rates[target.column];
    std::memcpy(target.place, &value, sizeof value);
  }
}

void Updater::clip(const Context& gradient, const Lane& lane) noexcept {
  const int64_t size = size_of(precision_);
  const int64_t count = static_cast<int64_t>(blocks_.size());
  for (int64_t i = lane.begin(count); i < lane.end(count); ++i) {
    const Block& block = blocks_[static_cast<size_t>(i)];
    std::byte* values = arrays_.gradient + block.begin * size;
    const int64_t length = block.end - block.begin;
    const Penalty penalty = penalty_in(group_of(block).hyper.data() + penalty_at_);
    if (penalty.l1 != 0 || penalty.l2 != 0) {
      add_penalty(values, arrays_.param + block.begin * size, length, precision_, penalty);
    }
    if (clip_.value > 0) clip_values(values, length, precision_, clip_.value);
    if (clip_.norm > 0) {
      partial_[static_cast<size_t>(i)] = sum_of_squares(values, length, precision_);
    }
  }
  for (RowUpdate& rows : rows_) rows.clip(gradient, clip_.value, clip_.norm > 0, lane);
  if (clip_.norm <= 0) return;
  lane.barrier();
  if (lane.first()) {
    double squares = 0;
    for (const double sum : partial_) squares += sum;
    for (const RowUpdate& rows : rows_) squares += rows.squares(gradient);
    const double norm = std::sqrt(squares);
    norm_scale_ = norm > clip_.norm ? clip_.norm / norm : norm <= clip_.norm ? 1.0 : NAN;
    set_all(scale_offset_, norm_scale_);
  }
  lane.barrier();
}

bool Updater::is_finite(const Block& block) const noexcept {
  return all_finite(arrays_.gradient + block.begin * size_of(precision_), block.end - block.begin,
                    precision_);
}

void Updater::update_block(const Block& block, CallContext& call) const noexcept {
  const int64_t from = block.begin * size_of(precision_);
  Context& context = call.context;
  Arrays moved = arrays_;
  moved.param += from;
  moved.gradient += from;
  if (moved.slot) moved.slot += from;
  moved.hyper = group_of(block).hyper.data();
  moved.lend(context);
  context.rows = block.end - block.begin;
  run_plan(plan_of(group_of(block)), call, Lane(0, 1));
}

uint32_t Updater::run(const Context& gradient, const Lane& lane) noexcept {
  if (clips()) {
    clip(gradient, lane);
    if (clip_.norm > 0 && !std::isfinite(norm_scale_)) return kNonFiniteGradient;
  }
  if (measure_) {
    measure_->run(lane);
    if (!measure_->finite()) return kNonFiniteGradient;
  }
  const auto own = static_cast<size_t>(lane.index());
  const int64_t count = static_cast<int64_t>(blocks_.size()), most = plans_[0]->capacity();
  const auto first = blocks_.begin() + lane.begin(count), last = blocks_.begin() + lane.end(count);
  uint32_t status = 0;
  for (auto block = first; block != last;) {
    if (!is_finite(*block)) {  // it keeps its old weights
      status |= kNonFiniteGradient;
      ++block;
      continue;
    }
    Block run = *block;
    while (++block != last && block->group == run.group && block->end - run.begin <= most &&
           is_finite(*block)) {
      run.end = block->end;
    }
    update_block(run, *leases_[group_of(run).update][own]);
  }
  for (RowUpdate& rows : rows_) status |= rows.run(gradient, lane);
  return status;
}

void Updater::clean_padding(const Layout& layout) const {
  const int64_t slots = layout.slots();
  for (const Layout::Place& place : layout.places) {
    if (place.base != Base::param || place.bytes % kAlignment == 0) continue;
    const int64_t from = place.offset + place.bytes;
    const size_t bytes = static_cast<size_t>(round_up(place.bytes) - place.bytes);
    std::memset(arrays_.param + from, 0, bytes);
    for (int64_t slot = 0; slot < slots; ++slot) {
      std::memset(arrays_.slot + slot * layout.param_bytes + from, 0, bytes);
    }
  }
}

Cost Updater::cost(const Context& gradient) const {
  Cost total;
  for (const RowUpdate& rows : rows_) {
    const Cost cost = rows.cost(gradient);
    total.flops += cost.flops;
    total.bytes += cost.bytes;
  }
  for (const Block& block : blocks_) {
    const Cost cost = plan_of(group_of(block)).cost(block.end - block.begin);
    total.flops += cost.flops;
    total.bytes += cost.bytes;
  }
  return total;
}

int64_t Updater::launches() const {
  int64_t launches = measure_ ? measure_->launches() : 0;
  for (const Group& group : groups_) {
    const Plan& plan = plan_of(group);
    // A gradient of rows counts once: how many blocks these are, the data says.
    const bool rows = group.end == group.begin;
    launches += plan.launches() *
                (rows ? 1 : (group.end - group.begin + plan.capacity() - 1) / plan.capacity());
  }
  return launches;
}

}  // namespace slim
