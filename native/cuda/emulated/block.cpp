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

void BlockRunner::pause_in(State state, uint32_t lanes) {
  Thread& thread = current->threads_[current->running_];
  thread.state = state;
  thread.lanes = lanes;
  turn.waits = true;
  pause(*thread.fiber);
}

void BlockRunner::wait(uint32_t lanes) {
  pause_in(lanes == 0 ? State::at_barrier : State::at_lanes, lanes);
}

void BlockRunner::meet() { pause_in(State::at_meeting, 0); }

void BlockRunner::resume(size_t index) {
  Thread& thread = threads_[index];
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
  now_->thread = {static_cast<uint32_t>(index), 0, 0};
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
  Thread& back = current->threads_[current->running_];
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

// Until all threads of it have ended, or wait for other blocks.
std::string BlockRunner::run_block(bool backwards) {
  const size_t count = threads_.size();
  for (;;) {
    size_t ended = 0, meeting = 0;
    for (size_t i = 0; i < count; ++i) {
      const size_t index = backwards ? count - 1 - i : i;
      if (threads_[index].state == State::ready) resume(index);
      ended += threads_[index].state == State::done;
      meeting += threads_[index].state == State::at_meeting;
    }
    if (ended == count || meeting == count) return "";
    if (!release()) return "threads of a block wait at different barriers";
  }
}

std::string BlockRunner::run_together(int64_t blocks, size_t threads) {
  std::vector<std::vector<Thread>> all(static_cast<size_t>(blocks), std::vector<Thread>(threads));
  for (bool backwards = false;; backwards = !backwards) {
    size_t ended = 0;
    for (size_t i = 0; i < all.size(); ++i) {
      const size_t block = backwards ? all.size() - 1 - i : i;
      now_->block = {static_cast<uint32_t>(block), 0, 0};
      threads_.swap(all[block]);
      const std::string why = run_block(block % 2 == 1);
      threads_.swap(all[block]);
      if (!why.empty()) return why;
      ended += all[block][0].state == State::done;
      for (Thread& thread : all[block]) {
        if (thread.state == State::at_meeting) thread.state = State::ready;
      }
    }
    if (ended == all.size()) return "";
    if (ended != 0) return "blocks wait for others that have ended";
  }
}

std::string BlockRunner::run(void (*kernel)(const void*), const void* arguments, Now& now,
                             bool together) {
  current = this;
  kernel_ = kernel;
  arguments_ = arguments;
  now_ = &now;
  now.wait = &BlockRunner::wait;
  now.meet = &BlockRunner::meet;
  const size_t threads = now.block_size.x;
  std::string why;
  if (together) {
    why = run_together(now.grid.x, threads);
  } else {
    for (uint32_t block = 0; block < now.grid.x && why.empty(); ++block) {
      now.block = {block, 0, 0};
      threads_.assign(threads, Thread());
      why = run_block(block % 2 == 1);
      if (why.empty() && threads_[0].state != State::done) {
        why = "its blocks wait for each other, but are not launched together";
      }
    }
  }
  if (!why.empty()) {
    fibers_.clear();  // with what still waits on them
    idle_.clear();
  }
  return why;
}

}  // namespace slim::cuda
