// The plans that the steps of an epoch take, each with the context that it keeps.
#pragma once

#include <string>
#include <vector>

#include "runtime/call/bound_plan.h"
#include "runtime/data/batches.h"
#include "runtime/plan/model.h"

namespace slim {

// One plan for all batches or, where plans are exact and the last batch is shorter, a second
// one for that.
class BoundBatches {
 public:
  struct Batch {
    BoundPlan plan;
    Plan::Lease call;  // after its plan: it ends before
  };

  BoundBatches(const Model& model, const std::string& function, const BatchRule& rule,
               const std::vector<Source>& sources, const std::vector<uint32_t>& index,
               const Arrays& arrays, uint32_t seed, int lanes);

  const Batch& of(int64_t step) const {
    return step + 1 == steps_ ? batches_.back() : batches_.front();
  }
  std::vector<Batch>::const_iterator begin() const { return batches_.begin(); }
  std::vector<Batch>::const_iterator end() const { return batches_.end(); }

 private:
  int64_t steps_;
  std::vector<Batch> batches_;
};

}  // namespace slim
