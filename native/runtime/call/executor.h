// Runs the launches of a plan on one lane of a call.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/call/team.h"
#include "runtime/data/source.h"
#include "runtime/plan/plan.h"

namespace slim {

// Gathers this batch's rows; the lanes share them. `first` is the place in `index`.
void run_gathers(const std::vector<Gather>& gathers, const CallContext& call, const uint32_t* index,
                 int64_t first, const Lane& lane) noexcept;

// All rows of one gather, where the memory of the call's launches is not the host's.
void send_gather(const Gather& gather, const CallContext& call, const uint32_t* index,
                 int64_t first) noexcept;

// All launches and moves of a plan. Lanes wait where the plan says so, not at the end.
void run_plan(const Plan& plan, const CallContext& call, const Lane& lane) noexcept;

// Of tasks, or of rows, which together are all of a launch: so many between looks at the watch.
int64_t tasks_between_looks(const Plan::Step& step, int64_t tasks);

// This lane's part of a step that is a launch; nothing once the call is to end.
void run_launch(const Plan::Step& step, const CallContext& call, const Context& context,
                std::byte* local, const Lane& lane) noexcept;

// A sequence on the only lane of a call, between what begins and what ends a run of launches.
void run_launches(const Plan::Sequence& sequence, const CallContext& call) noexcept;

// What another device computes, by way of its memory.
void run_visit(const Plan::Visit& visit, const CallContext& call, const Lane& lane) noexcept;

// What could not be computed where it belongs, at the end of a sequence.
void run_moves(const std::vector<Plan::Move>& moves, const CallContext& call) noexcept;

// What the plan staged becomes state: by one lane, once nothing can refuse the step any more.
void publish_state(const Plan& plan, const CallContext& call) noexcept;

// Of a value in a batch of so many rows.
inline int64_t bytes_of(const Buffer& buffer, int64_t rows) {
  return buffer.count(rows) * size_of(buffer.dtype);
}

// Of host memory.
inline double read_f64(const Buffer& buffer, const Context& context) {
  return *buffer.in<double>(context);
}

// What training reads after `grad`: objective, weighted loss, weights, all f64[], and maybe a
// fourth that is 0 where the step moves no parameter, whatever the gradient; what it sets counts.
// Returns whether that is there. Throws std::invalid_argument for anything else.
bool check_sums(const Plan& plan);

}  // namespace slim
