// What a run of steps does on the host: it sends data and numbers, starts them, fetches a report.
#include "cuda/steps.h"

#include <algorithm>
#include <stdexcept>

#include "runtime/call/executor.h"
#include "runtime/train/freeze.h"

namespace slim::cuda {

CudaSteps::CudaSteps(const CudaDevice& device, StepsRequest request)
    : driver_(device.driver()),
      model_(std::move(request.model)),
      options_(request.options),
      rule_(request.rule),
      arrays_(request.arrays),
      hypers_(request.hypers.copy(device.memory())),
      scheduled_(request.scheduled),
      stream_(driver_.open_stream()),
      facts_(driver_, 1),
      call_(std::make_unique<Call>(*stream_, facts_.data())),
      state_(driver_, 1) {
  if (options_.exchange != nullptr) refuse_on_gpu("ranks do not share a step on a GPU");
  if (options_.batch != rule_.batch) refuse_on_gpu("a GPU runs a batch as a whole (accumulate=1)");
  arrays_.hyper = hypers_.data();
  spans_ = std::make_unique<Spans>(*model_, "grad", rule_, Cut{options_.batch + 1}, request.sources,
                                   request.index, arrays_, options_.seed, 1, rule_.steps());
  for (const Spans::Bound& bound : spans_->bound()) {
    if (check_sums(bound.plan.plan())) {
      refuse_on_gpu("a loss that is scaled, as of precision='float16' (bfloat16 needs none)");
    }
    if (!bound.plan.plan().row_gradients().empty()) refuse_on_gpu("gradients that are rows");
    bound.call->context.call = call_.get();
    bound.call->context.rows = bound.plan.plan().capacity();
  }
  const Facts facts{0, 0, 0, options_.seed, 0};
  facts_.send(*stream_, &facts, 1);
  order_ = Piece<uint32_t>(driver_, request.index.size());
  send_sources();
  freeze_without_gradient(*model_, request.segments);
  make_groups(request);
  make_parts();
}

CudaSteps::~CudaSteps() { driver_.wait(*stream_); }

// Each input has its columns of all rows on the device, in the source's own type.
void CudaSteps::send_sources() {
  std::map<std::tuple<std::string, int64_t, int64_t>, const void*> known;
  for (const Spans::Bound& bound : spans_->bound()) {
    from_.emplace_back();
    const std::vector<InputSlot>& inputs = bound.plan.plan().inputs();
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Gather& gather = bound.plan.gathers()[i];
      if (gather.csr()) refuse_on_gpu("[input " + inputs[i].name + "] sparse rows");
      if (gather.ragged()) refuse_on_gpu("[input " + inputs[i].name + "] rows of several lengths");
      const int64_t start = inputs[i].columns_start();
      const int64_t stop = inputs[i].columns.empty() ? -1 : inputs[i].columns[1];
      const void*& data = known[{inputs[i].source, start, stop}];
      if (data == nullptr) {
        const PackedRows rows = gather.packed();
        Piece<std::byte> piece(driver_, static_cast<size_t>(std::max<int64_t>(rows.bytes, 1)));
        piece.send(*stream_, rows.data, static_cast<size_t>(rows.bytes));
        driver_.wait(*stream_);
        data = piece.data();
        data_.push_back(std::move(piece));
      }
      from_.back().push_back(data);
    }
  }
}

void CudaSteps::begin(const uint32_t* order, const Report& so_far) {
  report_ = so_far;
  order_.send(*stream_, order, order_.size());
}

const Report& CudaSteps::run(int64_t first, int64_t last, const Rates& rates, Watch*) {
  const int64_t room = std::max<int64_t>(1, static_cast<int64_t>(rates_.size()) / rates.columns);
  for (int64_t begin = first; begin < last && !report_.refused(); begin += room) {
    run_some(begin, std::min(last, begin + room), rates);
  }
  return report_;
}

void CudaSteps::run_some(int64_t first, int64_t last, const Rates& rates) {
  StepState state;
  state.next = first;
  state.first = first;
  state.done = rates.number(first) - 1;
  state.loss_sum = report_.loss_sum;
  state.weight_sum = report_.weight_sum;
  state_.send(*stream_, &state, 1);
  rates_.send(*stream_, rates.row(first), static_cast<size_t>((last - first) * rates.columns));
  columns_.send(*stream_, &rates.columns, 1);
  if (whole_) whole_->run(*stream_, last - first);
  for (int64_t step = first; !whole_ && step < last; ++step) {
    driver_.replay(*stream_, *of_plans_[spans_->of(step).parts[0].bound].recording);
  }
  state_.fetch(*stream_, &state, 1);
  driver_.wait(*stream_);
  report_ = {state.next, state.loss_sum, state.weight_sum, state.status, state.finite != 0};
  const bool ran = state.next == last || report_.refused();
  if (!driver_.error().empty() || !ran) report_.status |= kLostDevice;
}

// What lies between parameters an update may have made 0/0.
void CudaSteps::end() const {
  const Layout& layout = model_->layout();
  const int64_t slots = layout.param_bytes > 0 ? layout.slot_bytes / layout.param_bytes : 0;
  for (const Layout::Place& place : layout.places) {
    if (place.base != Base::param || place.bytes % kAlignment == 0) continue;
    const int64_t from = place.offset + place.bytes, bytes = round_up(place.bytes) - place.bytes;
    driver_.fill(*stream_, arrays_.param + from, 0, bytes);
    for (int64_t slot = 0; slot < slots; ++slot) {
      driver_.fill(*stream_, arrays_.slot + slot * layout.param_bytes + from, 0, bytes);
    }
  }
  driver_.wait(*stream_);
}

Profile CudaSteps::profile(int64_t steps, const double* rates) {
  Profile profile;
  const Spans::Bound& bound = spans_->bound()[0];
  const auto time = [&](const void* what, const std::string& name, const Cost& cost, auto work) {
    profile.time(what, name, "step", cost, [&] {
      work();
      driver_.wait(*stream_);
    });
  };
  const auto time_part = [&](const Part& part, const char* name) {
    time(&part, name, {}, [&] { enqueue(part); });
  };
  for (int64_t step = 0; step < steps; ++step) {
    run_some(0, 0, {rates, 1, 0, step});
    time_part(begin_, "begin");
    time_part(of_plans_[0].gather, "inputs");
    for (const Plan::Step& one : bound.plan.plan().steps()) {
      profile.time(one.launch.get(), one.launch->name, one.launch->op, one.launch->cost(0), [&] {
        one.launch->run(bound.call->context, 0, nullptr);
        driver_.wait(*stream_);
      });
    }
    if (!chunk_list_.empty()) time_part(prepare_, "gradient");
    time_part(of_plans_[0].judge, "verdict");
    time(&groups_, "update", {}, [&] {
      for (const Group& group : groups_) enqueue(group.plan, *group.lease);
    });
    if (of_plans_[0].publish) time_part(*of_plans_[0].publish, "state");
  }
  return profile;
}

int64_t CudaSteps::launches_per_step() const {
  const int64_t own = 3 + (chunk_list_.empty() ? 0 : 1) + (of_plans_[0].publish ? 1 : 0);
  int64_t launches = own + spans_->bound()[0].plan.plan().launches();
  for (const Group& group : groups_) launches += group.plan.launches();
  return launches;
}

int64_t CudaSteps::scratch_bytes() const {
  int64_t bytes = 0;
  for (const Spans::Bound& bound : spans_->bound()) bytes += bound.plan.plan().scratch_bytes();
  return bytes;
}

}  // namespace slim::cuda
