// The contexts of calls: made when a call needs one, kept for the next.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/kernel.h"
#include "runtime/device/device.h"
#include "runtime/plan/arena.h"

namespace slim {

// Where the memory of a call's launches is not the host's: what the host gathers for them.
struct Remote {
  const Device& device;
  Context context;  // scratch and sparse are the host's, laid out as the call's
  Arena scratch;
  std::vector<SparseBatch> sparse;
  std::vector<Arena> stored;
  std::unique_ptr<DeviceCall> call = {};
};

// What one running call owns beside the lent arenas.
struct CallContext {
  Context context;
  Arena scratch;
  std::vector<Arena> locals;  // by lane
  // Values that are not dense, and the memory of each.
  std::vector<SparseBatch> sparse;
  std::vector<Arena> stored;
  std::vector<CallContext*> guests;     // of what runs on other devices, until the lease ends
  std::unique_ptr<Remote> remote;       // null: its memory is the host's
  std::shared_ptr<const Arena> packed;  // of the arrays that are lent, until the lease ends
  // Looked at between launches, which are left out once it says so; null: they all run.
  class Watch* watch = nullptr;
  // What ends a loop in a call that another thread looks for; null: `watch` alone.
  const class Watch* ends = nullptr;

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

// To the host, what the launches of a call left in a value; all of them, before it, have ended.
inline void fetch(std::byte* to, const Buffer& from, const CallContext& call, int64_t bytes) {
  const auto* there = from.in<std::byte>(call.context);
  if (call.remote) return call.remote->device.memory().to_host(to, there, bytes);
  std::memcpy(to, there, static_cast<size_t>(bytes));
}
template <class T>
T read(const Buffer& buffer, const CallContext& call) {
  if (!call.remote) return *buffer.in<T>(call.context);
  T value;
  fetch(reinterpret_cast<std::byte*>(&value), buffer, call, sizeof value);
  return value;
}

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
