// Sums over parameters: partial ones by all lanes, added by one in the order of the blocks.
#include "runtime/train/measure.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "runtime/call/executor.h"
#include "runtime/train/update.h"

namespace slim {
namespace {

constexpr int64_t kMeasured = 4096;  // elements; part of the sums' bits

}  // namespace

std::vector<int64_t> places_of_sums(const std::vector<std::string>& measured,
                                    const Hypers& hypers) {
  std::vector<int64_t> places;
  for (const std::string& name : measured) {
    places.push_back(hypers.offset(name));
    if (places.back() >= 0) continue;
    throw std::invalid_argument("measure returns what no hyper takes: declare " + name);
  }
  return places;
}

void refuse_sums_of_rows(const RowGradient& gradient) {
  throw std::invalid_argument(
      "[" + gradient.parameter +
      "] its gradient is kept as rows, and update reads sums over parameters: a gradient "
      "that is rows has none, keep it dense (without ops.rows)");
}

Measure::Measure(std::shared_ptr<const Plan> plan, std::vector<int64_t> hypers,
                 std::vector<Span> spans, Arrays arrays, int64_t element_bytes, int lanes)
    : plan_(std::move(plan)),
      hypers_(std::move(hypers)),
      spans_(std::move(spans)),
      arrays_(arrays),
      element_bytes_(element_bytes) {
  for (size_t i = 0; i < spans_.size(); ++i) {
    for (int64_t begin = spans_[i].begin; begin < spans_[i].end; begin += kMeasured) {
      blocks_.push_back({i, begin, std::min(begin + kMeasured, spans_[i].end)});
    }
  }
  partial_.resize(blocks_.size() * hypers_.size());
  for (int i = 0; i < lanes; ++i) leases_.emplace_back(*plan_, 1);
}

void Measure::run_block(const Block& block, CallContext& call, double* sums) const noexcept {
  const int64_t from = block.begin * element_bytes_;
  Context& context = call.context;
  Arrays moved = arrays_;
  moved.param += from;
  moved.gradient += from;
  if (moved.slot) moved.slot += from;
  moved.hyper = spans_[block.span].hyper;
  moved.lend(context);
  context.rows = block.end - block.begin;
  run_plan(*plan_, call, Lane(0, 1));
  for (size_t i = 0; i < hypers_.size(); ++i) sums[i] = read_f64(plan_->returns()[i], context);
}

void Measure::run(const Lane& lane) noexcept {
  const size_t width = hypers_.size();
  CallContext& call = *leases_[static_cast<size_t>(lane.index())];
  const int64_t count = static_cast<int64_t>(blocks_.size());
  for (int64_t i = lane.begin(count); i < lane.end(count); ++i) {
    const size_t at = static_cast<size_t>(i);
    run_block(blocks_[at], call, partial_.data() + at * width);
  }
  lane.barrier();
  if (lane.first()) {
    finite_ = true;
    for (size_t r = 0; r < width; ++r) {
      for (size_t i = 0; i < blocks_.size();) {
        const size_t span = blocks_[i].span;
        double sum = 0;
        for (; i < blocks_.size() && blocks_[i].span == span; ++i) sum += partial_[i * width + r];
        std::memcpy(spans_[span].hyper + hypers_[r], &sum, sizeof sum);
        finite_ = finite_ && std::isfinite(sum);
      }
    }
  }
  lane.barrier();
}

int64_t Measure::launches() const {
  return static_cast<int64_t>(blocks_.size()) * plan_->launches();
}

}  // namespace slim
