// The contexts of calls: made when a call needs one, kept for the next.
#include "runtime/call/fork.h"
#include "runtime/plan/plan.h"

namespace slim {
namespace {

// A context with more scratch than this goes back to the system, not to the pool.
constexpr int64_t kPooledBytes = 64 << 20;

}  // namespace

Plan::Lease::Lease(const Plan& plan, int lanes) : plan_(&plan) {
  {
    const std::lock_guard lock(cache_lock());
    if (!plan.idle_.empty()) {
      owned_ = std::move(plan.idle_.back());
      plan.idle_.pop_back();
    }
  }
  if (!owned_) {
    owned_ = std::make_unique<CallContext>();
    owned_->scratch = Arena(plan.scratch_bytes_);
    owned_->context.base[static_cast<int>(Base::scratch)] = owned_->scratch.data();
  }
  while (owned_->locals.size() < static_cast<size_t>(lanes)) {
    owned_->locals.emplace_back(plan.local_bytes_);
  }
  owned_->context.status.store(0, std::memory_order_relaxed);
  owned_->context.first_row = 0;
  owned_->context.step = 0;
  owned_->context.seed = 0;
}

Plan::Lease::~Lease() {
  if (!owned_) return;
  int64_t bytes = owned_->scratch.size();
  for (const Arena& arena : owned_->stored) bytes += arena.size();
  if (bytes > kPooledBytes) return;
  const std::lock_guard lock(cache_lock());
  plan_->idle_.push_back(std::move(owned_));
}

}  // namespace slim
