// Runs a loop of a plan on one lane of a call: the first lane decides and moves, all lanes compute.
#pragma once

#include <algorithm>
#include <vector>

#include "runtime/call/executor.h"
#include "runtime/call/interrupt.h"
#include "runtime/call/loop_time.h"

namespace slim {

// By the first lane: what is drawn from here on has the numbers of the context's step and seed.
inline void tell_time(const CallContext& call) noexcept {
  if (call.remote) call.remote->device.move_time(call.context);
}

// What a lane moves between steps: rows `first` to `last` - 1 of values that lead with the batch's
// rows, or all of any; and the context whose bases it moves.
struct LoopPart {
  const CallContext& call;
  Context& context;
  int64_t first, last;

  // As in LoopTime: the call's own context, whose lanes see it as it is between the moves.
  static LoopPart all(const CallContext& call) {
    return {call, const_cast<Context&>(call.context), 0, rows(call)};
  }
  static int64_t rows(const CallContext& call) { return std::max<int64_t>(call.context.rows, 1); }

  // Of a leading dimension.
  int64_t begin(int64_t leading) const { return leading * first / rows(call); }
  int64_t end(int64_t leading) const { return leading * last / rows(call); }
};

// Slice `step` of a value and its part of a step's memory, in one direction or the other.
void take_slice(const Plan::Slice& slice, const LoopPart& part, int64_t step) noexcept;
void leave_slice(const Plan::Slice& slice, const LoopPart& part, int64_t step) noexcept;
// What launches find of values without a copy is what belongs to a step, of so many, which takes
// slice `at`.
void move_bases(const Plan::Loop& loop, const LoopPart& part, int64_t step, int64_t steps,
                int64_t at) noexcept;
void run_moves(const std::vector<Plan::Move>& moves, const LoopPart& part) noexcept;

// How many steps there are at most.
int64_t most_steps(const Plan::Loop& loop, const CallContext& call) noexcept;
// Before the first of at most so many steps, and after the last one that was taken.
void start_loop(const Plan::Loop& loop, const LoopPart& part, int64_t most) noexcept;
void end_loop(const Plan::Loop& loop, const LoopPart& part, int64_t steps, int64_t most) noexcept;
// By the first lane: what steps would have left that were not taken, and how many were.
void leave_count(const Plan::Loop& loop, const CallContext& call, int64_t steps) noexcept;
// Whether the user, or who else watches the call, wants it to end.
bool is_ended(const CallContext& call) noexcept;
// Whether there is another step; after the condition.
bool goes_on(const Plan::Loop& loop, const CallContext& call, int64_t step, int64_t steps) noexcept;

// `run`: a sequence, by this lane, so many steps after the first.
template <class Run>
void run_loop(const Plan::Loop& loop, const CallContext& call, const Lane& lane,
              const Run& run) noexcept {
  const LoopPart all = LoopPart::all(call);
  const int64_t steps = lane.first() ? most_steps(loop, call) : 0;
  if (lane.first()) start_loop(loop, all, steps);
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
      if (lane.first()) move_bases(loop, all, step, steps, at);
      lane.barrier();
      run(loop.condition, step);
      lane.barrier();
    }
    if (lane.first()) {
      go = goes_on(loop, call, step, steps);
      if (go && !loop.predicate) move_bases(loop, all, step, steps, at);
      for (size_t i = 0; go && i < loop.scanned.size(); ++i) {
        take_slice(loop.scanned[i], all, at);
      }
    }
    lane.barrier();
    if (!go) break;
    run(loop.body, step);
    lane.barrier();
    if (!lane.first()) continue;
    for (const Plan::Slice& slice : loop.stacked) leave_slice(slice, all, at);
    run_moves(loop.carry, all);
  }
  if (lane.first()) {
    end_loop(loop, all, step, steps);
    leave_count(loop, call, step);
  }
  if (!loop.draws) return;
  if (lane.first()) {
    time.leave();
    tell_time(call);
  }
  lane.barrier();
}

// By one lane, which takes every step for its rows alone and meets no other lane meanwhile.
void run_loop_by_rows(const Plan::Loop& loop, const CallContext& call, std::byte* local,
                      const Lane& lane) noexcept;

// By every lane of several; of a loop that lets them move.
void run_loop_by_lanes(const Plan::Loop& loop, const CallContext& call, std::byte* local,
                       const Lane& lane) noexcept;

}  // namespace slim
