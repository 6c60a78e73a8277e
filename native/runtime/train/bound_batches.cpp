// Binds the plans of an epoch's steps.
#include "runtime/train/bound_batches.h"

#include "runtime/data/bind.h"

namespace slim {

BoundBatches::BoundBatches(const Model& model, const std::string& function, const BatchRule& rule,
                           const std::vector<Source>& sources, const std::vector<uint32_t>& index,
                           const Arrays& arrays, uint32_t seed, int lanes)
    : steps_(rule.steps()) {
  const int64_t last = rule.count(steps_ - 1);
  const Symbols symbols = bind_symbols(model.function(function), sources);
  std::vector<int64_t> rows{rule.capacity()};
  if (steps_ > 1 && last != rule.batch && model.plan(function, rule.capacity(), symbols)->exact()) {
    rows = {rule.batch, last};
  }
  for (const int64_t count : rows) {
    auto plan = model.plan(function, count, symbols);
    auto gathers = bind_sources(*plan, sources, index);
    BoundPlan bound(std::move(plan), std::move(gathers), arrays, seed);
    Plan::Lease call = bound.lease(lanes, index);
    batches_.push_back({std::move(bound), std::move(call)});
  }
}

}  // namespace slim
