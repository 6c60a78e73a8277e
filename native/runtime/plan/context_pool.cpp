// Idle contexts within their budget, and the lease of one.
#include "runtime/plan/context_pool.h"

#include "runtime/call/fork.h"
#include "runtime/plan/plan.h"

namespace slim {
namespace {

// Of everything idle in the process. Less, and calls that take turns pay for fresh pages (some
// 0.2 ms a MB); more, and a process that is done with its large networks keeps their memory.
constexpr int64_t kIdleBytes = 256 << 20;

// Beyond so many bytes a function that runs once, as initial values are made, keeps nothing idle:
// it takes as much as the weights.
constexpr int64_t kOnceBytes = 4 << 20;

// Under cache_lock().
ContextChain<&CallContext::in_process> all_idle;
int64_t all_bytes = 0;

// Linked by in_pool.older; outside the lock, as large blocks take the system a while.
void free_chain(CallContext* context) {
  while (context != nullptr) {
    const std::unique_ptr<CallContext> own(context);
    context = own->in_pool.older;
  }
}

}  // namespace

int64_t CallContext::bytes() const {
  int64_t total = scratch.size();
  for (const auto* arenas : {&locals, &stored}) {
    for (const Arena& arena : *arenas) total += arena.size();
  }
  if (remote) {
    total += remote->scratch.size();
    for (const Arena& arena : remote->stored) total += arena.size();
  }
  return total;
}

// Takes the least recently used context out of its pool, in front of those dropped before.
CallContext* ContextPool::drop_oldest(CallContext* dropped) {
  CallContext* oldest = all_idle.oldest;
  all_idle.remove(oldest);
  oldest->home->idle_.remove(oldest);
  all_bytes -= oldest->bytes();
  oldest->in_pool.older = dropped;
  return oldest;
}

ContextPool::~ContextPool() {
  CallContext* dropped = nullptr;
  {
    const std::lock_guard lock(cache_lock());
    dropped = idle_.newest;
    for (CallContext* context = dropped; context; context = context->in_pool.older) {
      all_idle.remove(context);
      all_bytes -= context->bytes();
    }
  }
  free_chain(dropped);
}

std::unique_ptr<CallContext> ContextPool::take() {
  const std::lock_guard lock(cache_lock());
  CallContext* context = idle_.newest;
  if (context == nullptr) return nullptr;
  idle_.remove(context);
  all_idle.remove(context);
  all_bytes -= context->bytes();
  return std::unique_ptr<CallContext>(context);
}

void ContextPool::give(std::unique_ptr<CallContext> context) noexcept {
  const int64_t bytes = context->bytes();
  if (bytes > kIdleBytes) return;  // it would only push out all others
  CallContext* dropped = nullptr;
  {
    const std::lock_guard lock(cache_lock());
    while (all_bytes + bytes > kIdleBytes) dropped = drop_oldest(dropped);
    context->home = this;
    idle_.push(context.get());
    all_idle.push(context.release());
    all_bytes += bytes;
  }
  free_chain(dropped);
}

int64_t ContextPool::idle_bytes() {
  const std::lock_guard lock(cache_lock());
  return all_bytes;
}

void ContextPool::free_idle() {
  CallContext* dropped = nullptr;
  {
    const std::lock_guard lock(cache_lock());
    while (all_idle.oldest != nullptr) dropped = drop_oldest(dropped);
  }
  free_chain(dropped);
}

Plan::Lease::Lease(const Plan& plan, int lanes) : plan_(&plan), owned_(plan.contexts_.take()) {
  if (!owned_) {
    owned_ = std::make_unique<CallContext>();
    Memory& memory = plan.device_.memory();
    owned_->scratch = Arena(plan.scratch_bytes_, memory);
    if (!memory.is_host()) {
      owned_->remote.reset(new Remote{plan.device_, {}, {}, {}, {}, plan.device_.open_call()});
      Remote& remote = *owned_->remote;
      for (const Plan::Staged& staged : plan.staged_) {  // padding between states is zero
        memory.fill(owned_->scratch.data() + staged.from, 0, staged.bytes);
      }
      // Where the host gathers rows, and says whether a loop goes on.
      if (!plan.inputs_.empty() || plan.loops_) remote.scratch = Arena(plan.scratch_bytes_);
      remote.context.base[static_cast<int>(Base::scratch)] = remote.scratch.data();
    }
    owned_->context.base[static_cast<int>(Base::scratch)] = owned_->scratch.data();
  }
  while (owned_->locals.size() < static_cast<size_t>(lanes)) {
    owned_->locals.emplace_back(plan.local_bytes_);
  }
  if (owned_->remote) owned_->context.call = owned_->remote->call.get();
  owned_->context.status.store(0, std::memory_order_relaxed);
  owned_->watch = nullptr;
  owned_->ends = nullptr;
  owned_->context.first_row = 0;
  owned_->context.step = 0;
  owned_->context.seed = 0;
  owned_->guests.clear();
  for (const Visit* visit : plan.visits_) {
    guests_.emplace_back(*visit->plan, 1);
    visit->plan->reserve(*guests_.back(), {}, {});
    owned_->guests.push_back(&*guests_.back());
  }
}

Plan::Lease::~Lease() {
  if (!owned_) return;
  owned_->packed.reset();
  if (plan_->request_.function == "init" && owned_->bytes() > kOnceBytes) return;
  plan_->contexts_.give(std::move(owned_));
}

}  // namespace slim
