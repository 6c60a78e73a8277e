// What the first lane does between the steps of a loop.
#include "runtime/call/loop.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace slim {
namespace {

// Copies a slice out of its value, or back into it.
void copy_slice(const Plan::Slice& slice, const LoopPart& part, int64_t step, bool leaves) {
  const Buffer &whole = slice.whole, &one = slice.one;
  const CallContext& call = part.call;
  int64_t inner = size_of(whole.dtype);  // bytes behind the axis
  for (size_t i = slice.axis + 1; i < whole.dims.size(); ++i) inner *= whole.dims[i];
  const int64_t leading = one.leading(call.context.rows), row = one.inner() * size_of(one.dtype);
  const int64_t first = part.begin(leading) * row, bytes = part.end(leading) * row - first;
  if (bytes == 0) return;
  const bool across = slice.axis == 0;
  const int64_t apart = whole.dims[slice.axis] * inner;
  const int64_t run = across ? bytes : inner, before = across ? first : first / inner * apart;
  std::byte* at = whole.in<std::byte>(part.context) + step * inner + before;
  std::byte* there = one.in<std::byte>(part.context) + first;
  const Device::Pieces pieces = leaves ? Device::Pieces{at, apart, there, run, run, bytes / run}
                                       : Device::Pieces{there, run, at, apart, run, bytes / run};
  if (call.remote) return call.remote->device.copy(call.context, pieces);
  for (int64_t i = 0; i < pieces.count; ++i) {
    std::memcpy(pieces.to + i * pieces.to_step, pieces.from + i * pieces.from_step,
                static_cast<size_t>(run));
  }
}

void clear(const CallContext& call, std::byte* to, int64_t bytes) {
  if (!call.remote) return void(std::memset(to, 0, static_cast<size_t>(bytes)));
  static constexpr std::byte kZeros[4096] = {};
  for (int64_t done = 0; done < bytes; done += sizeof kZeros) {
    const int64_t some = std::min<int64_t>(bytes - done, sizeof kZeros);
    call.remote->device.memory().to_device(to + done, kZeros, some);
  }
}

// What launches left in a value, once they have ended.
template <class T>
T result(const Buffer& buffer, const CallContext& call) {
  if (call.remote) call.remote->device.finish(call.context);
  return read<T>(buffer, call);
}

// Where a step, of so many, finds a value that is handed on; behind the last one its result.
std::byte* place(const Plan::Loop& loop, const Plan::Handed& handed, const Context& context,
                 int64_t step, int64_t steps) {
  if (!handed.sliced) {
    const Buffer& turn = (steps - step) % 2 == 0 ? handed.result : handed.second;
    return turn.in<std::byte>(context);
  }
  if (step == steps) return handed.result.in<std::byte>(context);
  const int64_t at = loop.reverse ? steps - 1 - step : step;
  return handed.second.in<std::byte>(context) + at * handed.apart;
}

// The part of what lies like `value`; of host memory.
void copy_part(const Buffer& value, std::byte* to, const std::byte* from, const LoopPart& part) {
  const int64_t leading = value.leading(part.call.context.rows);
  const int64_t row = value.inner() * size_of(value.dtype), first = part.begin(leading) * row;
  if (to == from) return;
  std::memcpy(to + first, from + first, static_cast<size_t>(part.end(leading) * row - first));
}

}  // namespace

void take_slice(const Plan::Slice& slice, const LoopPart& part, int64_t step) noexcept {
  copy_slice(slice, part, step, false);
}

void leave_slice(const Plan::Slice& slice, const LoopPart& part, int64_t step) noexcept {
  copy_slice(slice, part, step, true);
}

void move_bases(const Plan::Loop& loop, const LoopPart& part, int64_t step, int64_t steps,
                int64_t at) noexcept {
  Context& context = part.context;
  for (const Plan::Moving& moving : loop.moving) {
    context.base[static_cast<int>(moving.base)] =
        moving.whole.in<std::byte>(context) + at * moving.apart;
  }
  for (const Plan::Handed& handed : loop.handed) {
    context.base[static_cast<int>(handed.from)] = place(loop, handed, context, step, steps);
    context.base[static_cast<int>(handed.to)] = place(loop, handed, context, step + 1, steps);
  }
}

void run_moves(const std::vector<Plan::Move>& moves, const LoopPart& part) noexcept {
  if (part.call.remote) return run_moves(moves, part.call);
  for (const Plan::Move& move : moves) {
    copy_part(move.from, move.to.in<std::byte>(part.context), move.from.in<std::byte>(part.context),
              part);
  }
}

int64_t most_steps(const Plan::Loop& loop, const CallContext& call) noexcept {
  if (loop.count) return std::clamp<int64_t>(result<int32_t>(*loop.count, call), 0, loop.length);
  const bool bounded = !loop.predicate || loop.length > 0;
  return bounded ? loop.length : std::numeric_limits<int64_t>::max();
}

void start_loop(const Plan::Loop& loop, const LoopPart& part, int64_t most) noexcept {
  run_moves(loop.start, part);
  for (const Plan::Handed& handed : loop.handed) {
    copy_part(handed.result, place(loop, handed, part.context, 0, most),
              handed.initial.in<std::byte>(part.context), part);
  }
}

bool is_ended(const CallContext& call) noexcept {
  const Watch* ends = call.ends != nullptr ? call.ends : call.watch;
  return ends != nullptr && ends->stopped();
}

bool goes_on(const Plan::Loop& loop, const CallContext& call, int64_t step,
             int64_t steps) noexcept {
  if (call.watch != nullptr) call.watch->look_after(loop.work);
  if (step >= steps || is_ended(call)) return false;
  return !loop.predicate || result<uint8_t>(*loop.predicate, call) != 0;
}

void end_loop(const Plan::Loop& loop, const LoopPart& part, int64_t steps, int64_t most) noexcept {
  for (const Plan::Handed& handed : loop.handed) {
    copy_part(handed.result, handed.result.in<std::byte>(part.context),
              place(loop, handed, part.context, steps, most), part);
  }
}

void leave_count(const Plan::Loop& loop, const CallContext& call, int64_t steps) noexcept {
  if (!loop.count && !loop.counted) return;
  const auto clear_rest = [&](const Buffer& whole) {  // of the steps that were not taken
    const int64_t one = whole.inner() * size_of(whole.dtype);
    clear(call, whole.in<std::byte>(call.context) + steps * one, (whole.dims[0] - steps) * one);
  };
  for (const Plan::Slice& slice : loop.stacked) clear_rest(slice.whole);
  for (const Plan::Moving& moving : loop.moving) {
    if (moving.stacked) clear_rest(moving.whole);
  }
  if (!loop.counted) return;
  constexpr int64_t largest = std::numeric_limits<int32_t>::max();
  const auto count = static_cast<int32_t>(std::min(steps, largest));
  auto* to = loop.counted->in<std::byte>(call.context);
  if (call.remote) {
    call.remote->device.memory().to_device(to, reinterpret_cast<const std::byte*>(&count),
                                           sizeof count);
  } else {
    std::memcpy(to, &count, sizeof count);
  }
}

}  // namespace slim
