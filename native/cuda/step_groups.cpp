// What an update treats alike, and the numbers of a step that go there.
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "cuda/steps.h"
#include "runtime/train/coefficients.h"
#include "runtime/train/measure.h"

namespace slim::cuda {
namespace {

constexpr int64_t kChunk = 2048;     // elements of the gradient that a block looks at
constexpr int64_t kRates = 1 << 16;  // numbers of the table that one run has room for, at most

// Of the rates of a step: those of frozen segments, too, which nothing reads.
int64_t columns_of(const StepsRequest& request) {
  int64_t columns = 1;
  const auto count = [&](const std::vector<Scheduled>& all) {
    for (const Scheduled& one : all) columns = std::max(columns, one.column + 1);
  };
  count(request.scheduled);
  for (const Segment& segment : request.segments) count(segment.scheduled);
  return columns;
}

// Kernels of an update see themselves that a step does not count; copies, and what runs the kernels
// that the data says, do not.
bool needs_host(const Plan& plan) {
  return std::isinf(launches_of(plan.sequence())) || !plan.moves().empty();
}

}  // namespace

void CudaSteps::chunk(std::byte* gradient, const std::byte* weights, int64_t length,
                      const double* penalty) {
  const int64_t size = size_of(model_->layout().precision);
  for (int64_t begin = 0; begin < length; begin += kChunk) {
    chunk_list_.push_back({gradient + begin * size, weights + begin * size,
                           std::min(kChunk, length - begin), penalty});
  }
}

void CudaSteps::make_groups(StepsRequest& request) {
  const Layout& layout = model_->layout();
  const Hypers& hypers = request.hypers;
  const int64_t size = size_of(layout.precision), total = layout.param_bytes / size;
  const Updater::Clip& clip = options_.clip;
  const bool clips = clip.value > 0 || clip.norm > 0;
  const auto send_to = [&](std::byte* image, const Coefficients::Target& target) {
    target_list_.push_back(
        {reinterpret_cast<double*>(image + target.at), target.base, target.scale, target.column});
  };
  const int64_t step = hypers.offset("step"), scale = hypers.offset("gradient_scale");
  if (clip.norm > 0 && scale < 0) {
    throw std::invalid_argument("clipping by norm needs the hyper gradient_scale in update");
  }
  const std::vector<RowGradient>& rows = spans_->bound()[0].plan.plan().row_gradients();
  const auto rows_of = [&](const Segment& segment) {
    return std::find_if(rows.begin(), rows.end(), [&](const RowGradient& gradient) {
      return gradient.offset == segment.offset * size;
    });
  };
  const std::vector<std::string> measured = model_->measured();
  const auto alone = [&](const Segment& segment) {
    return !measured.empty() || rows_of(segment) != rows.end();
  };
  const int64_t columns = columns_of(request);
  const std::vector<Segment> segments = join_segments(std::move(request.segments), layout, alone);
  const auto count = static_cast<size_t>(std::max<int64_t>(1, model_->updates()));
  std::vector<int64_t> longest(count, 1);
  for (const Segment& segment : segments) {
    int64_t& most = longest[check_update(segment, count)];
    if (rows_of(segment) == rows.end()) most = std::max(most, segment.length);
  }
  for (size_t i = 0; i < count; ++i) {
    updates_.push_back(model_->update_plan(longest[i], false, static_cast<int64_t>(i)));
    host_decides_ |= needs_host(*updates_.back());
  }
  std::vector<int64_t> places;
  if (!measured.empty()) {
    places = places_of_sums(measured, hypers);
    measure_ = model_->measure_plan(*std::max_element(longest.begin(), longest.end()));
  }
  group_facts_ = Piece<Facts>(driver_, std::max<size_t>(segments.size(), 1));
  std::vector<double*> scales;
  for (const Segment& segment : segments) {
    const Coefficients own_numbers(segment, hypers, scheduled_, clips);
    group_hypers_.push_back(sent(driver_, *stream_, own_numbers.image));
    std::byte* own = group_hypers_.back().data();
    for (const Coefficients::Target& target : own_numbers.targets) send_to(own, target);
    if (step >= 0) target_list_.push_back({reinterpret_cast<double*>(own + step), 0, 1, -1});
    if (scale >= 0) scales.push_back(reinterpret_cast<double*>(own + scale));
    const int64_t penalty_at = Coefficients::penalty_at(hypers);
    const auto* penalty = clips ? reinterpret_cast<const double*>(own + penalty_at) : nullptr;
    Arrays moved = arrays_;
    int64_t length = segment.length;
    const Plan* plan = updates_[static_cast<size_t>(segment.update)].get();
    if (const auto compact = rows_of(segment); compact != rows.end()) {
      if (!measured.empty()) refuse_sums_of_rows(*compact);
      moved = make_room(*compact);
      length = rooms_.back().elements;
      updates_.push_back(model_->update_plan(length, true, segment.update));
      plan = updates_.back().get();
      host_decides_ |= needs_host(*plan);
      chunk(moved.gradient, moved.param, length, penalty);
    } else {
      moved.param += segment.offset * size;
      moved.gradient += segment.offset * size;
      if (moved.slot != nullptr) moved.slot += segment.offset * size;
      chunk(moved.gradient, moved.param, std::min(total - segment.offset, length), penalty);
    }
    Group& group = groups_.emplace_back(
        StepCall(driver_, *stream_, group_facts_.data() + groups_.size()), *plan);
    moved.hyper = own;
    moved.lend(group.lease->context);
    group.lease->context.rows = length;
    if (!measured.empty()) measure(segment, own, places);
    group_lengths_.push_back(length);
    group_fact_list_.push_back({length, 0, 0, 0, 0});
  }
  for (Group& group : groups_) group.lease->context.call = &group.call;
  std::byte* base = hypers_.data();
  for (const Scheduled& one : scheduled_) send_to(base, target_of(one, hypers));
  if (const int64_t rows = hypers.offset("global_rows"); rows >= 0) {
    target_list_.push_back({reinterpret_cast<double*>(base + rows), 0, 1, -2});
  }
  targets_ = sent(driver_, *stream_, target_list_);
  const int64_t rates = std::min(columns * rule_.steps(), std::max(columns, kRates));
  rates_ = Piece<double>(driver_, static_cast<size_t>(rates));
  columns_ = Piece<int64_t>(driver_, 1);
  lengths_ = sent(driver_, *stream_, group_lengths_);
  chunks_ = sent(driver_, *stream_, chunk_list_);
  if (clip.norm > 0) {
    squares_ = Piece<double>(driver_, std::max<size_t>(chunk_list_.size(), 1));
    scales_ = sent(driver_, *stream_, scales);
  }
  driver_.wait(*stream_);
}

}  // namespace slim::cuda
