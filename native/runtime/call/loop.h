// Runs a loop of a plan on one lane of a call: the first lane decides and moves, all lanes compute.
#pragma once

#include "runtime/call/executor.h"
#include "runtime/call/interrupt.h"
#include "runtime/call/loop_time.h"

namespace slim {

// All of these by the first lane.

// What is drawn from here on has the numbers of the context's step and seed.
inline void tell_time(const CallContext& call) noexcept {
  if (call.remote) call.remote->device.move_time(call.context);
}

// Slice `step` of a value and its part of a step's memory, in one direction or the other.
void take_slice(const Plan::Slice& slice, const CallContext& call, int64_t step) noexcept;
void leave_slice(const Plan::Slice& slice, const CallContext& call, int64_t step) noexcept;
// What launches find of values without a copy is what belongs to a step, of so many, which takes
// slice `at`.
void move_bases(const Plan::Loop& loop, const CallContext& call, int64_t step, int64_t steps,
                int64_t at) noexcept;

// Before its first step: how many there are at most.
int64_t start_loop(const Plan::Loop& loop, const CallContext& call) noexcept;
// After its last one, `steps` of at most so many were taken.
void end_loop(const Plan::Loop& loop, const CallContext& call, int64_t steps,
              int64_t most) noexcept;
// Whether there is another step; after the condition.
bool goes_on(const Plan::Loop& loop, const CallContext& call, int64_t step, int64_t steps) noexcept;

// `run`: a sequence, by this lane.
template <class Run>
void run_loop(const Plan::Loop& loop, const CallContext& call, const Lane& lane,
              const Run& run) noexcept {
  const int64_t steps = lane.first() ? start_loop(loop, call) : 0;
  // All lanes read what the first one decided; laid out as scratch is, but the host's.
  auto& go = *loop.go.in<uint8_t>(call.remote ? call.remote->context : call.context);
  LoopTime time(call.context);
  if (loop.draws) lane.barrier();  // before it moves: others may still draw outside
  int64_t step = 0;
  for (;; ++step) {
    const int64_t at = loop.reverse ? steps - 1 - step : step;
    if (loop.draws && lane.first()) {
      time.move_to(at);
      tell_time(call);
    }
    if (loop.predicate) {  // which reads what the body would
      if (lane.first()) move_bases(loop, call, step, steps, at);
      lane.barrier();
      run(loop.condition);
      lane.barrier();
    }
    if (lane.first()) {
      go = goes_on(loop, call, step, steps);
      if (go && !loop.predicate) move_bases(loop, call, step, steps, at);
      for (size_t i = 0; go && i < loop.scanned.size(); ++i) {
        take_slice(loop.scanned[i], call, at);
      }
    }
    lane.barrier();
    if (!go) break;
    run(loop.body);
    lane.barrier();
    if (!lane.first()) continue;
    for (const Plan::Slice& slice : loop.stacked) leave_slice(slice, call, at);
    run_moves(loop.carry, call);
  }
  if (lane.first()) end_loop(loop, call, step, steps);
  if (!loop.draws) return;
  if (lane.first()) {
    time.leave();
    tell_time(call);
  }
  lane.barrier();
}

}  // namespace slim
