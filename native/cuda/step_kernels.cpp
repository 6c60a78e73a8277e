// The kernels of a step, in the order in which they are put on the stream or stand in one.
#include <algorithm>
#include <bit>

#include "cuda/resident.h"
#include "cuda/shapes.h"
#include "cuda/steps.h"
#include "runtime/call/executor.h"

namespace slim::cuda {

CudaSteps::Part CudaSteps::part(const std::string& body, std::vector<const void*> pointers,
                                Grid grid) const {
  if (pointers.size() > kMostArguments) refuse_on_gpu("a step that reads so many inputs");
  Part made;
  made.text.headers = {"steps"};
  made.text.body = body;
  made.text.grid = grid;
  made.text.arguments.resize(pointers.size());
  made.pointers = std::move(pointers);
  return made;
}

void CudaSteps::make_parts() {
  const std::string state = "a.in<slim::StepState>(0)";
  const int64_t last_rows = rule_.count(rule_.steps() - 1);
  const auto count = [](const auto& list) { return number(static_cast<int64_t>(list.size())); };
  // Not from the facts: it runs beside `begin`.
  const std::string rows = parts_
                               ? "a.facts->rows"
                               : "slim::rows_of_step(" + state + ", " + number(rule_.batch) + ", " +
                                     number(rule_.steps()) + ", " + number(last_rows) + ")";
  begin_ = part("  slim::begin_step(a.facts, " + state + ", a.in<const double>(1), " +
                    "*a.in<const long long>(3), a.in<const slim::StepTarget>(2), " +
                    count(target_list_) + ", " + number(rule_.batch) + ", " +
                    number(rule_.steps()) + ", " + number(last_rows) + ");\n",
                {state_.data(), rates_.data(), targets_.data(), columns_.data()}, {1, kThreads});
  const Updater::Clip& clip = options_.clip;
  const bool f32 = model_->layout().precision == DType::f32;
  const std::string type = f32 ? "float" : "double";
  const std::string squares = clip.norm > 0 ? "a.in<double>(2)" : "nullptr";
  char limit[40];
  std::snprintf(limit, sizeof limit, "%.17g", clip.value);
  prepare_ = part("  slim::prepare_gradient<" + type + ", " + number(kThreads) + ">(" + state +
                      ", a.in<const slim::StepChunk>(1), " + limit + ", " + squares + ");\n",
                  {state_.data(), chunks_.data(), squares_.data()},
                  {static_cast<int64_t>(chunk_list_.size()), kThreads});
  make_sums();
  for (size_t b = 0; b < spans_->bound().size(); ++b) {
    const Spans::Bound& bound = spans_->bound()[b];
    const Plan& plan = bound.plan.plan();
    const Context& context = bound.call->context;
    OfPlan whole;
    std::vector<const void*> pointers{state_.data(), order_.data()};
    std::string body;
    int64_t elements = 1;
    for (size_t i = 0; i < plan.inputs().size(); ++i) {
      const InputSlot& input = plan.inputs()[i];
      const Gather& gather = bound.plan.gathers()[i];
      const std::string to = c_type(input.buffer.dtype);
      const auto given = [&](const std::string& type, const void* data) {
        pointers.push_back(data);
        return "a.in<" + type + ">(" + number(static_cast<int64_t>(pointers.size()) - 1) + ")";
      };
      const std::string listed = "a.in<const unsigned int>(1) + " + state + "->next * " +
                                 number(rule_.batch) + (parts_ ? " + a.facts->first_row, " : ", ") +
                                 rows;
      if (gather.csr()) {
        const SparseBatch& batch = input.buffer.sparse_in(context);
        const std::string values = c_type(gather.csr()->dtype());
        body +=
            "  " +
            call("slim::gather_sparse_rows<" + number(kThreads) + '>',
                 {given("const " + values, from_[b][i].rows),
                  given("const int", from_[b][i].columns),
                  given("const long long", from_[b][i].offsets), listed, given(to, batch.values),
                  given("int", batch.columns), given("long long", batch.offsets)}) +
            ";\n";
        elements = std::max(elements, plan.capacity() * kThreads);  // a row keeps a block busy
        continue;
      }
      const std::string from = stored_type(gather.type());
      const std::string kind = input.buffer.dtype == DType::b8 ? "slim::Truth" : to;
      const int64_t width = input.by_row ? input.buffer.inner() : input.buffer.count(1);
      const std::string template_ = "<" + kind + ", " + to + ">(";
      const std::string source = given("const " + from, from_[b][i].rows);
      const std::string order = !input.by_row ? "nullptr, 1, " : listed + ", ";
      const std::string batch = given(to, input.buffer.in<void>(context));
      if (gather.coded()) {
        const Data& data = from_[b][i];
        body += "  " +
                call("slim::gather_coded_rows",
                     {source, given("const slim::StepCode", data.reads),
                      given("const float", data.knots), listed, number(gather.coded()->columns()),
                      number(width), batch}) +
                ";\n";
      } else if (gather.ragged()) {
        const int64_t steps = input.buffer.dims[1];
        const auto padding = std::bit_cast<uint64_t>(gather.ragged()->padding);  // it may be NaN
        body += "  slim::gather_ragged_rows" + template_ + source + ", " +
                given("const long long", from_[b][i].offsets) + ", " + order + number(steps) +
                ", " + number(steps > 0 ? width / steps : 0) + ", __longlong_as_double(" +
                std::to_string(padding) + "ULL), " + batch + ");\n";
      } else {
        body += "  slim::gather_rows" + template_ + source + ", " + order + number(width) + ", " +
                batch + ");\n";
      }
      elements = std::max(elements, width * (input.by_row ? plan.capacity() : 1));
    }
    whole.gather = part(body, std::move(pointers), grid_over(elements));
    whole.gather.text.headers.push_back("sparse");
    const auto& returns = plan.returns();
    const bool norm = clip.norm > 0;
    const void* updates = may_skip_ ? returns[3].in<void>(context) : nullptr;
    const void* sums[] = {returns[0].in<void>(context), returns[1].in<void>(context),
                          returns[2].in<void>(context)};
    if (parts_) {
      make_add(whole, bound);
      const StepSums* all = parts_->sums.data();
      sums[0] = &all->objective, sums[1] = &all->loss, sums[2] = &all->weight;
      if (may_skip_) updates = &all->updates;
    }
    std::snprintf(limit, sizeof limit, "%.17g", clip.norm);
    whole.judge =
        part("  slim::judge_step<" + number(kThreads) + ">(a.facts, " + state +
                 ", a.in<const double>(1), a.in<const double>(2), "
                 "a.in<const double>(3), " +
                 (may_skip_ ? "a.in<const double>(8)" : "nullptr") +
                 ", a.in<slim::Facts>(4), a.in<const long long>(5), " + count(groups_) + ", " +
                 (norm ? "a.in<const double>(6), " : "nullptr, ") + count(chunk_list_) + ", " +
                 limit + ", " + (norm ? "a.in<double* const>(7)" : "nullptr") + ");\n",
             {state_.data(), sums[0], sums[1], sums[2], group_facts_.data(), lengths_.data(),
              squares_.data(), scales_.data(), updates},
             {1, kThreads});
    if (!plan.staged().empty()) {
      std::string copies;
      std::vector<const void*> places{state_.data()};
      int64_t words = 1;
      for (const Plan::Staged& staged : plan.staged()) {
        copies += "  slim::publish(" + state + ", a.in<unsigned int>(" +
                  number(static_cast<int64_t>(places.size())) + "), a.in<const unsigned int>(" +
                  number(static_cast<int64_t>(places.size() + 1)) + "), " +
                  number((staged.bytes + 3) / 4) + ");\n";
        places.push_back(context.base[static_cast<int>(Base::state)] + staged.to);
        places.push_back(context.base[static_cast<int>(Base::scratch)] + staged.from);
        words = std::max(words, staged.bytes / 4);
      }
      whole.publish = std::make_unique<Part>(part(copies, std::move(places), grid_over(words)));
    }
    make_row_parts(whole, bound);
    of_plans_.push_back(std::move(whole));
  }
  std::vector<Part*> parts{&begin_, &prepare_};
  for (OfPlan& whole : of_plans_) {
    parts.push_back(&whole.gather);
    parts.push_back(&whole.judge);
    if (whole.publish) parts.push_back(whole.publish.get());
    if (whole.add) parts.push_back(whole.add.get());
    for (auto* list : {&whole.fetch, &whole.put}) {
      for (Part& each : *list) parts.push_back(&each);
    }
  }
  if (of_sums_) parts.insert(parts.end(), {&of_sums_->measure, &of_sums_->take});
  if (parts_) parts.push_back(&parts_->begin);
  if (parts_ && parts_->keep)
    parts.insert(parts.end(), {parts_->keep.get(), parts_->restore.get()});
  std::vector<const KernelText*> texts;
  for (const Part* one : parts) texts.push_back(&one->text);
  module_ = driver_.compile(module_text(texts));
  for (size_t i = 0; i < parts.size(); ++i) {
    parts[i]->kernel = module_->kernel("k" + number(static_cast<int64_t>(i)), parts[i]->text.grid);
  }
  make_whole();
  if (!whole_) record();
}

void CudaSteps::enqueue(const Part& part) const noexcept {
  std::vector<const void*> arguments{call_->facts};
  arguments.insert(arguments.end(), part.pointers.begin(), part.pointers.end());
  driver_.launch(*stream_, *part.kernel, part.text.grid, arguments.data(),
                 arguments.size() * sizeof(void*));
}

void CudaSteps::enqueue_step(size_t bound, int64_t rows) const noexcept {
  const OfPlan& whole = of_plans_[bound];
  enqueue(begin_);
  enqueue(whole.gather);
  run_network(bound, rows);
  for (const Part& fetch : whole.fetch) enqueue(fetch);
  enqueue_update(whole);
  for (const Part& put : whole.put) enqueue(put);
  if (whole.publish) enqueue(*whole.publish);
}

void CudaSteps::run_network(size_t bound, int64_t rows) const noexcept {
  const Spans::Bound& one = spans_->bound()[bound];
  one.call->context.rows = rows;
  run_launches(one.plan.plan().sequence(), *one.call);
}

void CudaSteps::enqueue_update(const OfPlan& whole) const noexcept {
  if (!chunk_list_.empty()) enqueue(prepare_);
  enqueue(whole.judge);
  if (of_sums_) {
    enqueue(of_sums_->measure);
    enqueue(of_sums_->take);
  }
  if (host_decides_ && !counts()) return;
  for (const Group& group : groups_) run_launches(group.plan.sequence(), *group.lease);
}

}  // namespace slim::cuda
