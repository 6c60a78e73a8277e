// The kernels of a step as parts of one.
#include "cuda/steps.h"

namespace slim::cuda {

// The kernels of a plan; false if it has something else.
bool CudaSteps::add_parts(const Plan& plan, const CallContext& call,
                          std::vector<WholePart>& parts) const {
  if (!plan.moves().empty()) return false;
  bool waits = true;
  for (const Plan::Step& step : plan.steps()) {
    const auto* launch = dynamic_cast<const KernelLaunch*>(step.launch.get());
    if (launch == nullptr) return false;
    std::vector<const void*> pointers;
    for (const Argument& argument : launch->text().arguments) {
      pointers.push_back(argument.in(call.context));
    }
    const auto& own = static_cast<const Call&>(*call.context.call);
    parts.push_back(
        {&launch->text(), own.facts, std::move(pointers), waits || step.barrier, false});
    waits = false;
  }
  return true;
}

void CudaSteps::make_whole() {
  if (of_plans_.size() != 1 || parts_) return;
  const OfPlan& of_plan = of_plans_[0];
  std::vector<WholePart> parts;
  const auto add = [&](const Part& part, bool waits) {
    parts.push_back({&part.text, call_->facts, part.pointers, waits, false});
  };
  add(begin_, true);
  add(of_plan.gather, false);
  const Spans::Bound& bound = spans_->bound()[0];
  if (!add_parts(bound.plan.plan(), *bound.call, parts)) return;
  for (const Part& fetch : of_plan.fetch) add(fetch, &fetch == of_plan.fetch.data());
  if (!chunk_list_.empty()) add(prepare_, true);
  add(of_plan.judge, true);
  if (of_sums_) {
    add(of_sums_->measure, true);
    add(of_sums_->take, true);
  }
  // Where a group has as many elements as the step says, its update waits for that. Without a norm
  // the update finds itself whether the step counts, while `judge` takes note of it.
  const bool beside = options_.clip.norm <= 0 && !may_skip_ && rooms_.empty() && !of_sums_;
  const size_t updates = parts.size();
  for (const Group& group : groups_) {
    const size_t own = parts.size();
    if (!add_parts(group.plan, *group.lease, parts)) return;
    if (own < parts.size()) parts[own].waits = false;  // groups are apart
  }
  for (const Part& put : of_plan.put) add(put, &put == of_plan.put.data());
  if (of_plan.publish) add(*of_plan.publish, false);
  for (size_t i = updates; i < parts.size(); ++i) parts[i].if_it_counts = beside;
  if (updates < parts.size()) parts[updates].waits = !beside;
  whole_ = WholeStep::make(driver_, *stream_, parts, call_->facts, state_.data(),
                           bound.plan.plan().returns()[0].in<void>(bound.call->context));
}

}  // namespace slim::cuda
