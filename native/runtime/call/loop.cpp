// What the first lane does between the steps of a loop.
#include "runtime/call/loop.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace slim {
namespace {

// Copies a slice out of its value, or back into it.
void copy_slice(const Plan::Slice& slice, const CallContext& call, int64_t step, bool leaves) {
  const Buffer& whole = slice.whole;
  const int64_t rows = call.context.rows;
  int64_t outer = 1, inner = size_of(whole.dtype);
  for (size_t i = 0; i < slice.axis; ++i) outer *= i == 0 ? whole.leading(rows) : whole.dims[i];
  for (size_t i = slice.axis + 1; i < whole.dims.size(); ++i) inner *= whole.dims[i];
  std::byte* at = whole.in<std::byte>(call.context) + step * inner;
  std::byte* one = slice.one.in<std::byte>(call.context);
  const int64_t apart = whole.dims[slice.axis] * inner;
  const Device::Pieces pieces = leaves ? Device::Pieces{at, apart, one, inner, inner, outer}
                                       : Device::Pieces{one, inner, at, apart, inner, outer};
  if (call.remote) return call.remote->device.copy(call.context, pieces);
  for (int64_t i = 0; i < outer; ++i) {
    std::memcpy(pieces.to + i * pieces.to_step, pieces.from + i * pieces.from_step,
                static_cast<size_t>(inner));
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

// Slice `at` of the first axis.
std::byte* slice(const Buffer& whole, const CallContext& call, int64_t at) {
  return whole.in<std::byte>(call.context) + at * whole.inner() * size_of(whole.dtype);
}

// Where a step, of so many, finds a value that is handed on; behind the last one its result.
std::byte* place(const Plan::Loop& loop, const Plan::Handed& handed, const CallContext& call,
                 int64_t step, int64_t steps) {
  if (!handed.sliced) {
    const Buffer& turn = (steps - step) % 2 == 0 ? handed.result : handed.second;
    return turn.in<std::byte>(call.context);
  }
  if (step == steps) return handed.result.in<std::byte>(call.context);
  return slice(handed.second, call, loop.reverse ? steps - 1 - step : step);
}

size_t bytes_of(const Plan::Handed& handed, const CallContext& call) {
  const Buffer& value = handed.result;
  return static_cast<size_t>(value.count(call.context.rows) * size_of(value.dtype));
}

}  // namespace

void take_slice(const Plan::Slice& slice, const CallContext& call, int64_t step) noexcept {
  copy_slice(slice, call, step, false);
}

void leave_slice(const Plan::Slice& slice, const CallContext& call, int64_t step) noexcept {
  copy_slice(slice, call, step, true);
}

void move_bases(const Plan::Loop& loop, const CallContext& call, int64_t step, int64_t steps,
                int64_t at) noexcept {
  // As in LoopTime: the call's own, whose lanes see it as it is between the moves.
  auto& context = const_cast<Context&>(call.context);
  for (const Plan::Moving& moving : loop.moving) {
    context.base[static_cast<int>(moving.base)] = slice(moving.whole, call, at);
  }
  for (const Plan::Handed& handed : loop.handed) {
    context.base[static_cast<int>(handed.from)] = place(loop, handed, call, step, steps);
    context.base[static_cast<int>(handed.to)] = place(loop, handed, call, step + 1, steps);
  }
}

int64_t start_loop(const Plan::Loop& loop, const CallContext& call) noexcept {
  run_moves(loop.start, call);
  const int64_t steps =
      loop.count ? std::clamp<int64_t>(result<int32_t>(*loop.count, call), 0, loop.length)
      : loop.predicate && loop.length == 0 ? std::numeric_limits<int64_t>::max()  // no bound
                                           : loop.length;
  for (const Plan::Handed& handed : loop.handed) {
    std::memcpy(place(loop, handed, call, 0, steps), handed.initial.in<std::byte>(call.context),
                bytes_of(handed, call));
  }
  return steps;
}

bool goes_on(const Plan::Loop& loop, const CallContext& call, int64_t step,
             int64_t steps) noexcept {
  if (call.watch != nullptr) call.watch->look();
  const Watch* ends = call.ends != nullptr ? call.ends : call.watch;
  if (step >= steps || (ends != nullptr && ends->stopped())) return false;
  return !loop.predicate || result<uint8_t>(*loop.predicate, call) != 0;
}

void end_loop(const Plan::Loop& loop, const CallContext& call, int64_t steps,
              int64_t most) noexcept {
  for (const Plan::Handed& handed : loop.handed) {
    const std::byte* last = place(loop, handed, call, steps, most);
    std::byte* to = handed.result.in<std::byte>(call.context);
    if (last != to) std::memcpy(to, last, bytes_of(handed, call));
  }
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
