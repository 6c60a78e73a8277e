// A loop between whose steps nothing is copied: lanes find what belongs to a step by themselves,
// and wait for each other once in each.
#include "runtime/call/loop.h"
#include "runtime/call/loop_time.h"
#include "runtime/call/own_context.h"

namespace slim {

void run_loop_by_lanes(const Plan::Loop& loop, const CallContext& call, std::byte* local,
                       const Lane& lane) noexcept {
  OwnContext own(call);
  const LoopPart all{call, *own, 0, LoopPart::rows(call)};
  const int64_t most = most_steps(loop, call);
  // Whether there is another step is said by the first lane while the one before it runs, so that
  // all know when they meet.
  auto* go = loop.go.in<uint8_t>(call.context);
  if (lane.first()) {
    start_loop(loop, all, most);
    go[0] = goes_on(loop, call, 0, most);
  }
  LoopTime time(*own);
  int64_t step = 0;
  for (;; ++step) {
    lane.barrier();
    if (!go[step % 2]) break;
    const int64_t at = loop.reverse ? most - 1 - step : step;
    if (loop.draws) time.move_to(at);
    move_bases(loop, all, step, most, at);
    if (lane.first()) go[(step + 1) % 2] = goes_on(loop, call, step + 1, most);
    for (const Plan::Step& one : loop.body.steps) {
      if (one.barrier) lane.barrier();
      if (!one.stays(step)) run_launch(one, call, *own, local, lane);
    }
  }
  if (!lane.first()) return;
  end_loop(loop, all, step, most);
  leave_count(loop, call, step);
}

}  // namespace slim
