// The innermost loop: launches, tasks, barriers.
#include "runtime/call/executor.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "runtime/call/interrupt.h"
#include "runtime/call/loop.h"

namespace slim {
namespace {

// Within the memory of a call's launches.
void copy(std::byte* to, const std::byte* from, int64_t bytes, const CallContext& call) noexcept {
  if (call.remote) return call.remote->device.copy(call.context, to, from, bytes);
  std::memcpy(to, from, static_cast<size_t>(bytes));
}

void send(const SparseBatch& to, const SparseBatch& from, const Buffer& value, int64_t rows,
          Memory& memory) noexcept {
  const int64_t stored = from.offsets[rows];
  memory.to_device(to.values, from.values, stored * size_of(value.dtype));
  memory.to_device(reinterpret_cast<std::byte*>(to.columns),
                   reinterpret_cast<const std::byte*>(from.columns), 4 * stored);
  memory.to_device(reinterpret_cast<std::byte*>(to.offsets),
                   reinterpret_cast<const std::byte*>(from.offsets), 8 * (rows + 1));
}

}  // namespace

void send_gather(const Gather& gather, const CallContext& call, const uint32_t* index,
                 int64_t first) noexcept {
  const Remote& remote = *call.remote;
  if (gather.resident()) return remote.device.gather(call.context, gather, index, first);
  Memory& memory = remote.device.memory();
  const Buffer& value = gather.buffer();
  const int64_t rows = call.context.rows;
  gather.run(remote.context, index, first, 0, rows);
  if (gather.csr()) {
    send(value.sparse_in(call.context), value.sparse_in(remote.context), value, rows, memory);
  } else {
    memory.to_device(value.in<std::byte>(call.context), value.in<std::byte>(remote.context),
                     value.count(rows) * size_of(value.dtype));
  }
}

void run_gathers(const std::vector<Gather>& gathers, const CallContext& call, const uint32_t* index,
                 int64_t first, const Lane& lane) noexcept {
  const int64_t rows = call.context.rows;
  if (call.remote) {
    if (!lane.first()) return;
    for (const Gather& gather : gathers) send_gather(gather, call, index, first);
    return;
  }
  for (const Gather& gather : gathers) {
    gather.run(call.context, index, first, lane.begin(rows), lane.end(rows));
  }
}

int64_t tasks_between_looks(const Plan::Step& step, int64_t tasks) {
  if (step.work <= Watch::kWork) return std::max<int64_t>(1, tasks);
  return std::max<int64_t>(
      1, static_cast<int64_t>(static_cast<double>(tasks) * Watch::kWork / step.work));
}

void run_launch(const Plan::Step& step, const CallContext& call, const Context& context,
                std::byte* local, const Lane& lane) noexcept {
  Watch* const watch = call.watch;
  if (watch != nullptr && watch->stopped()) return;
  const int64_t tasks = step.launch->tasks(context.rows);
  const int64_t begin = lane.begin(tasks), end = lane.end(tasks);
  if (watch == nullptr) {
    if (begin < end) step.launch->run_all(context, begin, end, local);
    return;
  }
  const int64_t piece = tasks_between_looks(step, tasks);
  for (int64_t task = begin; task < end && !watch->stopped(); task += piece) {
    step.launch->run_all(context, task, std::min(end, task + piece), local);
    if (lane.first()) watch->look_after(step.work);
  }
}

namespace {

void run_sequence(const Plan::Sequence& sequence, const CallContext& call, std::byte* local,
                  const Lane& lane, int64_t turn = 0) noexcept {
  const Context& context = call.context;
  for (const Plan::Step& step : sequence.steps) {
    if (step.barrier) lane.barrier();
    if (step.branch) {    // by all lanes: there may be barriers inside
      if (call.remote) {  // what decides must be there
        if (lane.first()) call.remote->device.finish(context);
        lane.barrier();
      }
      run_sequence(step.branch->chosen(call), call, local, lane);
      continue;
    }
    if (step.loop && step.loop->by_rows && lane.count() > 1) {
      run_loop_by_rows(*step.loop, call, local, lane);
      continue;
    }
    if (step.loop && step.loop->by_lanes && lane.count() > 1) {
      run_loop_by_lanes(*step.loop, call, local, lane);
      continue;
    }
    if (step.loop) {
      run_loop(*step.loop, call, lane, [&](const Plan::Sequence& inner, int64_t at) {
        run_sequence(inner, call, local, lane, at);
      });
      continue;
    }
    if (step.visit) {
      run_visit(*step.visit, call, lane);
      continue;
    }
    if (!step.stays(turn)) run_launch(step, call, context, local, lane);
  }
  if (sequence.moves.empty()) return;
  lane.barrier();
  if (lane.first()) run_moves(sequence.moves, call);
}

}  // namespace

void run_launches(const Plan::Sequence& sequence, const CallContext& call) noexcept {
  run_sequence(sequence, call, call.locals[0].data(), Lane(0, 1));
}

void run_plan(const Plan& plan, const CallContext& call, const Lane& lane) noexcept {
  std::byte* local = call.locals[static_cast<size_t>(lane.index())].data();
  if (call.remote) {
    if (lane.first()) plan.device().begin(call.context);
    lane.barrier();
  }
  run_sequence(plan.sequence(), call, local, lane);
  if (!call.remote) return;
  lane.barrier();
  if (lane.first()) plan.device().finish(call.context);
}

void run_visit(const Plan::Visit& visit, const CallContext& call, const Lane& lane) noexcept {
  lane.barrier();  // for what is sent
  if (lane.first()) {
    CallContext& guest = *call.guests[visit.guest];
    Memory& memory = visit.plan->device().memory();
    const int64_t rows = call.context.rows;
    const auto bytes = [&](const Buffer& buffer) {
      return buffer.count(rows) * size_of(buffer.dtype);
    };
    guest.context.rows = rows;
    guest.context.first_row = call.context.first_row;
    guest.context.step = call.context.step;
    guest.context.seed = call.context.seed;
    guest.context.status.store(0, std::memory_order_relaxed);
    guest.watch = call.watch;
    guest.ends = call.ends;
    for (const Plan::Move& move : visit.sent) {
      memory.to_device(move.to.in<std::byte>(guest.context), move.from.in<std::byte>(call.context),
                       bytes(move.from));
    }
    run_plan(*visit.plan, guest, Lane(0, 1));
    for (const Plan::Move& move : visit.fetched) {
      fetch(move.to.in<std::byte>(call.context), move.from, guest, bytes(move.from));
    }
    if (const uint32_t raised = guest.context.status) call.context.raise(raised);
  }
  lane.barrier();  // for what was fetched
}

void run_moves(const std::vector<Plan::Move>& moves, const CallContext& call) noexcept {
  const Context& context = call.context;
  for (const Plan::Move& move : moves) {
    const int64_t bytes = move.from.count(context.rows) * size_of(move.from.dtype);
    copy(move.to.in<std::byte>(context), move.from.in<std::byte>(context), bytes, call);
  }
}

void publish_state(const Plan& plan, const CallContext& call) noexcept {
  for (const Plan::Staged& staged : plan.staged()) {
    copy(call.context.base[static_cast<int>(Base::state)] + staged.to,
         call.context.base[static_cast<int>(Base::scratch)] + staged.from, staged.bytes, call);
  }
  // Who reads it next, or takes it to the host, is not behind these copies on a device of its own.
  if (call.remote && !plan.staged().empty()) call.remote->device.finish(call.context);
}

bool check_sums(const Plan& plan) {
  const auto& returns = plan.returns();
  const bool fits = std::all_of(returns.begin(), returns.end(), [](const Buffer& buffer) {
    return buffer.dtype == DType::f64 && buffer.dims.empty();
  });
  if (returns.size() < 3 || returns.size() > 4 || !fits) {
    throw std::invalid_argument(
        "grad must return objective, weighted loss and weights, each f64[], and may return "
        "whether the step counts");
  }
  return returns.size() == 4;
}

}  // namespace slim
