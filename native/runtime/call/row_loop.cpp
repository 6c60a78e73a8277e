// A loop whose rows stay apart: each lane takes all steps for rows of its own, without a barrier.
#include <algorithm>

#include "runtime/call/loop.h"
#include "runtime/call/loop_time.h"
#include "runtime/call/own_context.h"

namespace slim {
namespace {

void run_body(const Plan::Loop& loop, const LoopPart& part, std::byte* local, const Lane& lane,
              int64_t turn) noexcept {
  const int64_t rows = part.context.rows;
  for (const Plan::Step& step : loop.body.steps) {
    if (step.stays(turn)) continue;
    const int64_t leading = step.results[0].leading(rows);
    const int64_t begin = part.begin(leading), end = part.end(leading);
    Watch* watch = part.call.watch;
    const int64_t piece = watch == nullptr ? end - begin : tasks_between_looks(step, leading);
    for (int64_t first = begin; first < end; first += piece) {
      if (watch != nullptr && watch->stopped()) return;
      step.launch->run_rows(part.context, first, std::min(end, first + piece), local);
      if (watch != nullptr && lane.first()) watch->look_after(step.work);
    }
  }
  run_moves(loop.body.moves, part);
}

}  // namespace

void run_loop_by_rows(const Plan::Loop& loop, const CallContext& call, std::byte* local,
                      const Lane& lane) noexcept {
  OwnContext own(call);
  const int64_t rows = LoopPart::rows(call);
  const LoopPart part{call, *own, lane.begin(rows), lane.end(rows)};
  const int64_t most = most_steps(loop, call);
  start_loop(loop, part, most);
  LoopTime time(*own);
  int64_t step = 0;
  for (; step < most && !is_ended(call); ++step) {
    const int64_t at = loop.reverse ? most - 1 - step : step;
    if (loop.draws) time.move_to(at);
    move_bases(loop, part, step, most, at);
    for (const Plan::Slice& slice : loop.scanned) take_slice(slice, part, at);
    run_body(loop, part, local, lane, step);
    for (const Plan::Slice& slice : loop.stacked) leave_slice(slice, part, at);
    run_moves(loop.carry, part);
  }
  end_loop(loop, part, step, most);
  if (lane.first()) leave_count(loop, call, step);
}

}  // namespace slim
