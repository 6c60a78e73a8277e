// How many lanes pay: a rough model of the time of a step.
#include <algorithm>

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
// A shorter step stays alone: one turn of the system's scheduler at the wrong time takes what
// another lane gives in thousands of them.
constexpr double kLeastSeconds = 200e-6;

}  // namespace

int Plan::useful_lanes(int64_t rows, int available, int64_t runs) const {
  if (available <= 1) return 1;
  struct Part {
    double seconds;
    int64_t tasks;
  };
  std::vector<Part> parts;
  int64_t barriers = 3;  // the batch's, and before and after what follows the plan
  int64_t written = rewritten_bytes_;
  double best = 0;
  for (const Step& step : steps_) {
    const Cost cost = step.launch->cost(rows);
    parts.push_back({kLaunchSeconds + std::max(cost.flops / kFlops, cost.bytes / kBytes),
                     std::max<int64_t>(1, step.launch->tasks(rows))});
    barriers += step.barrier;
    for (const Buffer& buffer : step.results) written += buffer.count(rows) * size_of(buffer.dtype);
    best += parts.back().seconds;
  }
  if (best < kLeastSeconds) return 1;
  best *= 0.9;  // less is no gain worth other calls' lanes
  int useful = 1;
  for (int lanes = 2; lanes <= available;
       lanes = std::max(lanes + 1, std::min(2 * lanes, available))) {
    double seconds = kBarrierSeconds * static_cast<double>(barriers * lanes) +
                     kRegionSeconds / static_cast<double>(runs) +
                     kLineSeconds * static_cast<double>(written / kAlignment / lanes);
    for (const Part& part : parts) {
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
