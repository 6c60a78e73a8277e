// A step whose rows run one part after the other: their gradients and sums are added up, and what
// they set is state from part to part.
#include "cuda/shapes.h"
#include "cuda/steps.h"
#include "runtime/call/executor.h"

namespace slim::cuda {

// Before the plans are bound, which leave a part's gradient there.
std::unique_ptr<CudaSteps::Parts> CudaSteps::open_parts() {
  if (hypers_.offset("global_rows") < 0) {
    throw std::invalid_argument(
        "the gradients of a step's parts do not add up to its own: grad must divide by the hyper "
        "global_rows instead of its own rows");
  }
  auto parts = std::make_unique<Parts>();
  const auto bytes = static_cast<size_t>(std::max<int64_t>(model_->layout().param_bytes, 1));
  parts->gradient = Piece<std::byte>(driver_, bytes);
  driver_.fill(*stream_, parts->gradient.data(), 0, static_cast<int64_t>(bytes));
  parts->sums = Piece<StepSums>(driver_, 1);
  return parts;
}

// Of all plans what they add; of the first one, what stands around them.
void CudaSteps::make_add(OfPlan& whole, const Spans::Bound& bound) {
  const Layout& layout = model_->layout();
  const Plan& plan = bound.plan.plan();
  const Context& context = bound.call->context;
  const std::string type = c_type(layout.precision);
  const int64_t count = layout.param_bytes / size_of(layout.precision);
  const auto& returns = plan.returns();
  whole.add = std::make_unique<Part>(
      part("  slim::add_part(a.in<slim::StepState>(0), a.in<" + type + ">(1), a.in<const " + type +
               ">(2), " + number(count) + ", a.in<slim::StepSums>(3), a.in<const double>(4), " +
               "a.in<const double>(5), a.in<const double>(6), " +
               (may_skip_ ? "a.in<const double>(7)" : "nullptr") + ");\n",
           {state_.data(), arrays_.gradient, parts_->gradient.data(), parts_->sums.data(),
            returns[0].in<void>(context), returns[1].in<void>(context),
            returns[2].in<void>(context), may_skip_ ? returns[3].in<void>(context) : nullptr},
           grid_over(count)));
  if (!of_plans_.empty()) return;
  std::vector<StepPart> table;
  for (const Spans::Span& span : spans_->table()) {
    parts_->of_last = static_cast<int64_t>(table.size());
    for (const Spans::Part& one : span.parts) table.push_back({one.offset, one.rows});
  }
  // Without a shorter last step all are alike.
  if (spans_->table().size() == 1) parts_->of_last = 0;
  parts_->table = sent(driver_, *stream_, table);
  driver_.wait(*stream_);
  parts_->begin =
      part("  slim::begin_part(a.facts, a.in<slim::StepState>(0), a.in<const slim::StepPart>(1), " +
               number(parts_->of_last) + ", " + number(rule_.steps()) + ");\n",
           {state_.data(), parts_->table.data()}, {1, kThreads});
  if (plan.staged().empty()) return;
  const int64_t bytes = layout.state_bytes;
  parts_->kept = Piece<std::byte>(driver_, static_cast<size_t>(bytes));
  const auto copy = [&](const char* function, const void* to, const void* from) {
    return std::make_unique<Part>(
        part(std::string("  slim::") + function +
                 "(a.in<slim::StepState>(0), a.in<unsigned int>(1), a.in<const unsigned int>(2), " +
                 number(bytes / 4) + ");\n",
             {state_.data(), to, from}, grid_over(bytes / 4)));
  };
  parts_->keep = copy("publish", parts_->kept.data(), arrays_.state);
  parts_->restore = copy("restore", arrays_.state, parts_->kept.data());
}

void CudaSteps::enqueue_part(size_t bound, int64_t rows) const noexcept {
  const OfPlan& whole = of_plans_[bound];
  enqueue(parts_->begin);
  enqueue(whole.gather);
  run_network(bound, rows);
  enqueue(*whole.add);
  if (whole.publish) enqueue(*whole.publish);
}

void CudaSteps::enqueue_parts(int64_t step) noexcept {
  enqueue(begin_);
  if (parts_->keep) enqueue(*parts_->keep);
  for (const Spans::Part& one : spans_->of(step).parts) {
    const size_t bound = spans_->place_of(one, host_order_ + rule_.begin(step) + one.offset);
    if (!replay(bound, one.rows)) enqueue_part(bound, one.rows);
  }
  parts_->update ? driver_.replay(*stream_, *parts_->update) : enqueue_update(of_plans_[0]);
  if (parts_->restore) enqueue(*parts_->restore);
}

}  // namespace slim::cuda
