// Leases contexts for a bound plan and runs its batches.
#include "runtime/call/bound_plan.h"

#include "runtime/call/executor.h"

namespace slim {

BoundPlan::BoundPlan(std::shared_ptr<const Plan> plan, std::vector<Gather> gathers,
                     const Arrays& arrays, uint32_t seed, std::shared_ptr<PackedArrays> packed)
    : plan_(std::move(plan)),
      gathers_(std::move(gathers)),
      arrays_(arrays),
      seed_(seed),
      packed_(std::move(packed)) {}

Plan::Lease BoundPlan::lease(int lanes, const std::vector<uint32_t>& index) const {
  Plan::Lease call(*plan_, lanes);
  plan_->reserve(*call, gathers_, index);
  arrays_.lend(call->context);
  if (plan_->packed().bytes > 0) {
    call->packed = packed_->of(*plan_, arrays_, lanes);
    call->context.base[static_cast<int>(Base::packed)] = call->packed->data();
  }
  call->context.seed = seed_;
  return call;
}

void BoundPlan::prepare_gathers(const CallContext& call) const {
  for (const Gather& gather : gathers_) {
    if (!gather.resident()) continue;
    plan_->device().prepare_gather(call.context, gather, plan_->capacity());
  }
}

void BoundPlan::run(const CallContext& call, const uint32_t* index, int64_t first,
                    const Lane& lane) const noexcept {
  run_gathers(gathers_, call, index, first, lane);
  lane.barrier();
  run_plan(*plan_, call, lane);
}

void BoundPlan::profile(Profile& profile, const CallContext& call, const uint32_t* index,
                        int64_t first) const {
  profile.run_gathers(*plan_, gathers_, call, index, first);
  profile.run_plan(*plan_, call);
}

}  // namespace slim
