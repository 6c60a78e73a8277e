// Fibers: begun by makecontext, then changed by setjmp, which asks the kernel of the system for
// nothing. A fiber whose thread ended takes the next one.
#undef _FORTIFY_SOURCE  // it takes a jump to another stack for a mistake
#include "cuda/emulated/block.h"

#include <ucontext.h>

#include <csetjmp>

namespace slim::cuda {
namespace {

constexpr size_t kStack = 64 << 10;

}  // namespace

struct Fiber {
  ucontext_t context;
  jmp_buf place;
  bool begun = false;
  std::unique_ptr<char[]> stack{new char[kStack]};
};

namespace {

BlockRunner* current = nullptr;  // one block runs at a time
jmp_buf turns;
// What a fiber is given when it is resumed.
struct {
  void (*kernel)(const void*);
  const void* arguments;
  Fiber* fiber;
  bool waits;  // given back: it waits, it has not ended
} turn;

void pause(Fiber& fiber) {
  if (_setjmp(fiber.place) == 0) _longjmp(turns, 1);
}

}  // namespace

BlockRunner::BlockRunner() = default;
BlockRunner::~BlockRunner() = default;

void BlockRunner::enter() {
  for (;;) {
    Fiber& fiber = *turn.fiber;
    turn.kernel(turn.arguments);
    turn.waits = false;
    pause(fiber);
  }
}

void BlockRunner::wait(uint32_t lanes) {
  Thread& thread = current->threads_[static_cast<size_t>(current->running_)];
  thread.state = lanes == 0 ? State::at_barrier : State::at_lanes;
  thread.lanes = lanes;
  turn.waits = true;
  pause(*thread.fiber);
}

void BlockRunner::resume(int index) {
  Thread& thread = threads_[static_cast<size_t>(index)];
  if (thread.fiber == nullptr) {
    if (idle_.empty()) {
      fibers_.push_back(std::make_unique<Fiber>());
      idle_.push_back(fibers_.back().get());
    }
    thread.fiber = idle_.back();
    idle_.pop_back();
  }
  Fiber& fiber = *thread.fiber;
  running_ = index;
  const auto x = static_cast<uint32_t>(index);
  now_->thread = {x, 0, 0};
  turn = {kernel_, arguments_, &fiber, false};
  if (_setjmp(turns) == 0) {
    if (fiber.begun) _longjmp(fiber.place, 1);
    fiber.begun = true;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, &BlockRunner::enter, 0);
    setcontext(&fiber.context);
  }
  Thread& back = current->threads_[static_cast<size_t>(current->running_)];
  if (turn.waits) return;
  back.state = State::done;
  current->idle_.push_back(back.fiber);
}

// Those who wait for nobody any more; false: there is none.
bool BlockRunner::release() {
  bool all_at_barrier = true, some = false;
  for (const Thread& thread : threads_) {
    all_at_barrier &= thread.state == State::at_barrier || thread.state == State::done;
  }
  for (size_t first = 0; first < threads_.size(); first += 32) {
    const size_t last = std::min(first + 32, threads_.size());
    uint32_t there = 0, ended = 0;
    for (size_t i = first; i < last; ++i) {
      const uint32_t lane = 1u << (i - first);
      if (threads_[i].state == State::at_lanes) there |= lane;
      if (threads_[i].state == State::done) ended |= lane;
    }
    if (last - first < 32) ended |= ~0u << (last - first);
    for (size_t i = first; i < last; ++i) {
      Thread& thread = threads_[i];
      const bool free =
          thread.state == State::at_barrier
              ? all_at_barrier
              : thread.state == State::at_lanes && (thread.lanes & ~(there | ended)) == 0;
      if (!free) continue;
      thread.state = State::ready;
      some = true;
    }
  }
  return some;
}

std::string BlockRunner::run(void (*kernel)(const void*), const void* arguments, Now& now,
                             int threads, bool backwards) {
  current = this;
  kernel_ = kernel;
  arguments_ = arguments;
  now_ = &now;
  now.wait = &BlockRunner::wait;
  threads_.assign(static_cast<size_t>(threads), Thread());
  for (;;) {
    int ended = 0;
    for (int i = 0; i < threads; ++i) {
      const int index = backwards ? threads - 1 - i : i;
      if (threads_[static_cast<size_t>(index)].state == State::ready) resume(index);
      ended += threads_[static_cast<size_t>(index)].state == State::done;
    }
    if (ended == threads) return "";
    if (release()) continue;
    fibers_.clear();  // with what still waits on them
    idle_.clear();
    return "threads of a block wait at different barriers";
  }
}

}  // namespace slim::cuda
