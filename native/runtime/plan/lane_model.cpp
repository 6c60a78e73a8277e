// How many lanes pay: a rough model of the time of a step.
#include <algorithm>
#include <utility>

#include "runtime/plan/plan.h"

namespace slim {
namespace {

// Measured on two cores of an AMD EPYC (AVX2). A wrong one costs time, never bits: a step gets
// a lane that does not pay, or misses one that would.

// What the matrix product reaches on one lane, flop/s. Too high: large steps seem short and
// stay alone.
constexpr double kFlops = 60e9;
// What an elementwise chain moves on one lane from the outer caches, byte/s. As kFlops.
constexpr double kBytes = 30e9;
// Of a launch of nothing. Too low: plans of many small launches seem shorter than they are.
constexpr double kLaunchSeconds = 50e-9;
// What one more lane adds to a barrier. Too low: steps of many barriers take lanes that wait.
constexpr double kBarrierSeconds = 60e-9;
// The start of a parallel region, shared by the runs within it.
constexpr double kRegionSeconds = 5e-6;
// The write to a line of cache that another lane has read. Too low: a step of 16 µs, which
// writes 1,500 lines, seems to gain by a second lane and does not.
constexpr double kLineSeconds = 13e-9;
// What a lane's own caches still hold of a value that it has read: a longer one has left them
// for the shared cache or memory, where a write costs no more than it does alone. Too high:
// steps on large values, whose writes stream, seem not to gain by a second lane.
constexpr int64_t kHeldBytes = 512 << 10;
// A shorter step of a loop counts what it writes in any case: lanes that meet so often lose more
// to the system than barriers cost.
constexpr double kLongStep = 20e-6;
// A shorter step stays alone: one turn of the system's scheduler at the wrong time takes what
// another lane gives in thousands of them.
constexpr double kLeastSeconds = 200e-6;

double seconds_of(const Cost& cost) {
  return kLaunchSeconds + std::max(cost.flops / kFlops, cost.bytes / kBytes);
}

struct Part {
  double seconds;
  int64_t tasks;
};

// What the lanes share in one run of a sequence, which takes the longer one of two branches.
// A loop runs all of its steps: those that it may stop before count too.
struct Work {
  std::vector<Part> parts;
  int64_t barriers = 0;
  int64_t written = 0;  // bytes
  double seconds = 0;
  int64_t launches = 0;
  Cost cost;

  void add(const Work& other) {
    parts.insert(parts.end(), other.parts.begin(), other.parts.end());
    barriers += other.barriers;
    written += other.written;
    seconds += other.seconds;
    launches += other.launches;
    cost.flops += other.cost.flops;
    cost.bytes += other.cost.bytes;
  }
  void times(int64_t count) {
    const auto factor = static_cast<double>(count);
    for (Part& part : parts) part.seconds *= factor;
    barriers *= count;
    written *= count;
    seconds *= factor;
    cost.flops *= factor;
    cost.bytes *= factor;
  }
};

Work work_of(const Plan::Sequence& sequence, int64_t rows);
Work work_of(const Plan::Step& step, int64_t rows);

// Whether a lane finds in its caches nearly all that a step of a loop writes: it wrote the same
// part the step before, and no product of others reads it.
bool writes_its_own(const Plan::Sequence& body, int64_t rows) {
  constexpr int64_t kFewBytes = 16 << 10;
  return std::all_of(body.steps.begin(), body.steps.end(), [rows](const Plan::Step& step) {
    if (!step.launch || step.launch->op == "matmul") return false;
    return step.launch->takes_rows() || work_of(step, rows).written <= kFewBytes;
  });
}

Work work_of(const Plan::Step& step, int64_t rows) {
  Work work;
  if (step.branch) {
    work = work_of(step.branch->then, rows);
    Work other = work_of(step.branch->otherwise, rows);
    if (other.seconds > work.seconds) std::swap(work, other);
  } else if (step.loop) {
    work = work_of(step.loop->condition, rows);
    work.add(work_of(step.loop->body, rows));
    work.barriers += step.loop->by_lanes ? 1 : step.loop->predicate ? 4 : 2;
    if (work.seconds >= kLongStep && writes_its_own(step.loop->body, rows)) work.written = 0;
    if (step.loop->by_rows) {  // what a lane writes it reads itself
      work.barriers = work.written = 0;
      for (Part& part : work.parts) part.tasks = std::max<int64_t>(1, rows);
    }
    work.times(std::max<int64_t>(1, step.loop->length));
  } else if (step.visit) {  // of which the lanes share nothing
    const Work inner = work_of(step.visit->plan->sequence(), rows);
    work.launches = inner.launches;
    work.cost = inner.cost;
    work.seconds = inner.seconds;
    work.parts.push_back({inner.seconds, 1});
    work.barriers = 3;
  } else {
    work.launches = 1;
    work.cost = step.launch->cost(rows);
    work.seconds = seconds_of(work.cost);
    work.parts.push_back({work.seconds, std::max<int64_t>(1, step.launch->tasks(rows))});
  }
  work.barriers += step.barrier;
  for (const Buffer& buffer : step.results) {
    work.written += std::min(buffer.count(rows) * int64_t{size_of(buffer.dtype)}, kHeldBytes);
  }
  if (step.launch) {  // a part that lies in its place already is not moved
    work.written = std::min(work.written, static_cast<int64_t>(work.cost.bytes));
  }
  return work;
}

Work work_of(const Plan::Sequence& sequence, int64_t rows) {
  Work work;
  for (const Plan::Step& step : sequence.steps) work.add(work_of(step, rows));
  return work;
}

}  // namespace

int64_t Plan::launches() const { return work_of(sequence_, capacity()).launches; }

Cost Plan::cost(int64_t rows) const { return work_of(sequence_, rows).cost; }

int Plan::useful_lanes(int64_t rows, int available, int64_t runs) const {
  available = device_.lanes(available);
  if (available <= 1) return 1;
  const Work work = work_of(sequence_, rows);
  // The batch's barrier, and those before and after what follows the plan.
  const int64_t barriers = work.barriers + 3;
  const int64_t written = work.written + rewritten_bytes_;
  double best = work.seconds;
  if (best < kLeastSeconds) return 1;
  best *= 0.9;  // less is no gain worth other calls' lanes
  int useful = 1;
  for (int lanes = 2; lanes <= available;
       lanes = std::max(lanes + 1, std::min(2 * lanes, available))) {
    double seconds = kBarrierSeconds * static_cast<double>(barriers * lanes) +
                     kRegionSeconds / static_cast<double>(runs) +
                     kLineSeconds * static_cast<double>(written / kAlignment / lanes);
    for (const Part& part : work.parts) {
      const int64_t longest = (part.tasks + lanes - 1) / lanes;
      seconds += part.seconds * static_cast<double>(longest) / static_cast<double>(part.tasks);
    }
    if (seconds < best) {
      best = seconds;
      useful = lanes;
    }
  }
  return useful;
}

}  // namespace slim
