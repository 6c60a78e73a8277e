// A plan with its sources bound and its arenas lent: what training and prediction run.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/call/arrays.h"
#include "runtime/call/packed.h"
#include "runtime/call/profile.h"
#include "runtime/call/team.h"
#include "runtime/data/source.h"
#include "runtime/plan/plan.h"

namespace slim {

// Calls at once may share it: each leases a context of its own, which must end before it.
class BoundPlan {
 public:
  // One gather an input, as bind_sources gives them.
  BoundPlan(std::shared_ptr<const Plan> plan, std::vector<Gather> gathers, const Arrays& arrays,
            uint32_t seed = 0, std::shared_ptr<PackedArrays> packed = nullptr);

  const Plan& plan() const { return *plan_; }
  const std::vector<Gather>& gathers() const { return gathers_; }

  // A context with room for any rows of the index, all of the sources where it is empty. The
  // caller sets rows, first_row and step.
  Plan::Lease lease(int lanes, const std::vector<uint32_t>& index = {}) const;

  // Of a call that `run` is asked for: what the rows need that its device has already. Throws as
  // Device::prepare.
  void prepare_gathers(const CallContext& call) const;

  // The rows from `first` of the index on (null: of the sources), then the plan, by all lanes.
  void run(const CallContext& call, const uint32_t* index, int64_t first,
           const Lane& lane) const noexcept;
  // The same on one lane, timed.
  void profile(Profile& profile, const CallContext& call, const uint32_t* index,
               int64_t first) const;

 private:
  std::shared_ptr<const Plan> plan_;
  std::vector<Gather> gathers_;
  Arrays arrays_;
  uint32_t seed_;
  std::shared_ptr<PackedArrays> packed_;  // there where the plan asks for it
};

}  // namespace slim
