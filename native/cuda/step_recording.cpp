// What of a step is recorded, once, and replayed: all of it, or the pieces between calls of the
// user's functions; nothing where the data says what runs.
#include <limits>
#include <utility>

#include "cuda/custom.h"
#include "cuda/steps.h"
#include "runtime/call/executor.h"

namespace slim::cuda {
namespace {

constexpr double kMostRecorded = 30e3;  // launches of a step that is recorded
constexpr int kTries = 3;

// What a library does when it is called first.
void warm(const Plan::Sequence& sequence, const Context& context) {
  for (const Plan::Step& step : sequence.steps) {
    if (step.loop) warm(step.loop->body, context);
    const auto* library = dynamic_cast<const LibraryLaunch*>(step.launch.get());
    if (library != nullptr) library->warm(context);
  }
}

}  // namespace

double launches_of(const Plan::Sequence& sequence, bool inside) {
  auto all = static_cast<double>(sequence.moves.size());
  for (const Plan::Step& step : sequence.steps) {
    if (!step.loop) ++all;
    const bool calls = dynamic_cast<const CustomLaunch*>(step.launch.get()) != nullptr;
    if (step.branch || (calls && inside)) return std::numeric_limits<double>::infinity();
    if (!step.loop) continue;
    const Plan::Loop& loop = *step.loop;
    if (loop.predicate || loop.count) return std::numeric_limits<double>::infinity();
    const size_t own = loop.scanned.size() + loop.stacked.size() + loop.carry.size();
    const double each = static_cast<double>(own) + launches_of(loop.body, true);
    all += static_cast<double>(loop.start.size()) + static_cast<double>(loop.length) * each;
  }
  return all;
}

bool StepCall::defer(const Launch& launch) noexcept {
  if (recorded == nullptr) return false;
  if (failure) return true;
  try {
    recorded->back() = {driver.end_recording(stream), &launch};
    recorded->emplace_back();
    driver.begin_recording(stream);
  } catch (...) {
    failure = std::current_exception();
  }
  return true;
}

// Empty: another thread's calls are in the way again and again, and it is done without.
std::vector<RecordedPiece> CudaSteps::recorded(const std::function<void()>& enqueue) {
  for (int tries = 0; tries < kTries; ++tries) {
    std::vector<RecordedPiece> pieces(1);
    try {
      driver_.begin_recording(*stream_);
      call_->recorded = &pieces;
      enqueue();
      call_->recorded = nullptr;
      if (call_->failure) std::rethrow_exception(std::exchange(call_->failure, nullptr));
      pieces.back().recording = driver_.end_recording(*stream_);
      return pieces;
    } catch (const RecordingRefused&) {
      driver_.wait(*stream_);
    }
  }
  return {};
}

void CudaSteps::record() {
  if (host_decides_ && !parts_) return;
  for (const Group& group : groups_) {
    if (!host_decides_) warm(group.plan.sequence(), group.lease->context);
  }
  for (size_t b = 0; b < of_plans_.size(); ++b) {
    const Spans::Bound& bound = spans_->bound()[b];
    const Plan::Sequence& sequence = bound.plan.plan().sequence();
    if (launches_of(sequence) > kMostRecorded) continue;
    warm(sequence, bound.call->context);
    driver_.wait(*stream_);
    const int64_t rows = bound.plan.plan().capacity();
    of_plans_[b].recorded =
        recorded([&] { parts_ ? enqueue_part(b, rows) : enqueue_step(b, rows); });
  }
  if (!parts_ || host_decides_) return;
  std::vector<RecordedPiece> update = recorded([&] { enqueue_update(of_plans_[0]); });
  if (!update.empty()) parts_->update = std::move(update[0].recording);
}

bool CudaSteps::replay(size_t bound, int64_t rows) const noexcept {
  const std::vector<RecordedPiece>& pieces = of_plans_[bound].recorded;
  Context& context = spans_->bound()[bound].call->context;
  context.rows = rows;
  for (const RecordedPiece& piece : pieces) {
    driver_.replay(*stream_, *piece.recording);
    if (piece.behind != nullptr) piece.behind->run(context, 0, nullptr);
  }
  return !pieces.empty();
}

}  // namespace slim::cuda
