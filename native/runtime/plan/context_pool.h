// The contexts of calls: made when a call needs one, kept for the next.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/kernel.h"
#include "runtime/plan/arena.h"

namespace slim {

// What one running call owns beside the lent arenas.
struct CallContext {
  Context context;
  Arena scratch;
  std::vector<Arena> locals;  // by lane
  // Values that are not dense, and the memory of each.
  std::vector<SparseBatch> sparse;
  std::vector<Arena> stored;
  // Looked at between launches, which are left out once it says so; null: they all run.
  class Watch* watch = nullptr;

  int64_t bytes() const;

  // Its neighbours while it is idle, more and less recently used.
  struct Links {
    CallContext* newer = nullptr;
    CallContext* older = nullptr;
  };
  Links in_pool;     // of the same plan
  Links in_process;  // of all plans
  class ContextPool* home = nullptr;
};

// A chain through the contexts themselves: a call that ends must not have to allocate.
template <CallContext::Links CallContext::* links>
struct ContextChain {
  CallContext* newest = nullptr;
  CallContext* oldest = nullptr;

  void push(CallContext* context) {
    context->*links = {nullptr, newest};
    (newest != nullptr ? (newest->*links).newer : oldest) = context;
    newest = context;
  }
  void remove(CallContext* context) {
    auto& [newer, older] = context->*links;
    (newer != nullptr ? (newer->*links).older : newest) = older;
    (older != nullptr ? (older->*links).newer : oldest) = newer;
    newer = older = nullptr;
  }
};

// The idle contexts of one plan. Those of all plans of the process share one budget in bytes:
// what was not used for the longest goes back to the system first.
class ContextPool {
 public:
  ContextPool() = default;
  ~ContextPool();
  ContextPool(const ContextPool&) = delete;
  ContextPool& operator=(const ContextPool&) = delete;

  // The context used last, null if none is idle.
  std::unique_ptr<CallContext> take();
  void give(std::unique_ptr<CallContext> context) noexcept;

  // Of all pools.
  static int64_t idle_bytes();
  static void free_idle();

 private:
  static CallContext* drop_oldest(CallContext* dropped);

  ContextChain<&CallContext::in_pool> idle_;  // under cache_lock()
};

}  // namespace slim
