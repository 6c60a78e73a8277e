// Times launches one by one.
#include "runtime/call/profile.h"

#include <algorithm>

#include "runtime/call/executor.h"
#include "runtime/call/loop.h"

namespace slim {

void Profile::add(const void* what, const std::string& name, const std::string& op,
                  const Cost& cost, double seconds) {
  const auto [record, is_new] = record_of_.emplace(what, launches_.size());
  if (is_new) launches_.push_back({name, op, 0, 0, seconds, cost.flops, cost.bytes});
  LaunchProfile& launch = launches_[record->second];
  ++launch.calls;
  launch.seconds += seconds;
  launch.least = std::min(launch.least, seconds);
}

void Profile::run_gathers(const Plan& plan, const std::vector<Gather>& gathers,
                          const CallContext& call, const uint32_t* index, int64_t first) {
  const int64_t rows = call.context.rows;
  for (size_t i = 0; i < gathers.size(); ++i) {
    const double bytes = 2.0 * gathers[i].row_bytes() * static_cast<double>(rows);
    time(&gathers[i], plan.inputs()[i].name, "input", {0, bytes}, [&] {
      if (call.remote) return send_gather(gathers[i], call, index, first);
      gathers[i].run(call.context, index, first, 0, rows);
    });
  }
}

void Profile::run_plan(const Plan& plan, const CallContext& call) {
  if (call.remote) plan.device().begin(call.context);
  run_sequence(plan.sequence(), call);
  if (!plan.staged().empty()) {
    time(&plan.staged(), "state", "copy", {}, [&] { publish_state(plan, call); });
  }
}

void Profile::run_sequence(const Plan::Sequence& sequence, const CallContext& call, int64_t turn) {
  const int64_t rows = call.context.rows;
  for (const Plan::Step& step : sequence.steps) {
    if (step.branch) {
      run_sequence(step.branch->chosen(call), call);
      continue;
    }
    if (step.loop) {
      run_loop(*step.loop, call, Lane(0, 1),
               [&](const Plan::Sequence& inner, int64_t at) { run_sequence(inner, call, at); });
      continue;
    }
    if (step.visit) {
      time(step.visit.get(), step.visit->name, "placed", step.visit->plan->cost(rows),
           [&] { run_visit(*step.visit, call, Lane(0, 1)); });
      continue;
    }
    if (step.stays(turn)) continue;
    const Launch& launch = *step.launch;
    time(&launch, launch.name, launch.op, launch.cost(rows), [&] {
      launch.run_all(call.context, 0, launch.tasks(rows), call.locals[0].data());
      if (call.remote) call.remote->device.finish(call.context);
    });
  }
  if (!sequence.moves.empty()) {
    time(&sequence.moves, "moves", "copy", {}, [&] { run_moves(sequence.moves, call); });
  }
}

}  // namespace slim
