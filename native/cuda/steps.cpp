// The kernels of a step, in the order in which they are put on the stream.
#include "cuda/steps.h"

#include <algorithm>
#include <stdexcept>

#include "cuda/shapes.h"
#include "runtime/call/executor.h"
#include "runtime/train/freeze.h"

namespace slim::cuda {
namespace {

constexpr int64_t kChunk = 2048;  // elements of the gradient that a block looks at
constexpr int64_t kMostBlocks = 1024;
constexpr int64_t kRates = 1 << 16;  // numbers of the table that one run has room for

int64_t blocks_for(int64_t elements) {
  return std::clamp<int64_t>((elements + kThreads - 1) / kThreads, 1, kMostBlocks);
}

std::string number(int64_t value) { return std::to_string(value); }

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument(what + ": use device=\"cpu\"");
}

const char* cuda_type(SourceType type) {
  switch (type) {
    case SourceType::f32:
      return "float";
    case SourceType::f64:
      return "double";
    case SourceType::i8:
      return "signed char";
    case SourceType::i16:
      return "short";
    case SourceType::i32:
      return "int32_t";
    case SourceType::i64:
      return "int64_t";
    case SourceType::u16:
      return "unsigned short";
    case SourceType::u8:
    case SourceType::b8:
      break;
  }
  return "uint8_t";
}

}  // namespace

CudaSteps::CudaSteps(const CudaDevice& device, StepsRequest request)
    : device_(device),
      driver_(device.driver()),
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
  if (options_.exchange != nullptr) refuse("ranks do not share a step on a GPU");
  if (options_.batch != rule_.batch) refuse("a GPU runs a batch as a whole (accumulate=1)");
  arrays_.hyper = hypers_.data();
  spans_ = std::make_unique<Spans>(*model_, "grad", rule_, Cut{options_.batch + 1}, request.sources,
                                   request.index, arrays_, options_.seed, 1, rule_.steps());
  for (const Spans::Bound& bound : spans_->bound()) {
    check_sums(bound.plan.plan());
    if (!bound.plan.plan().row_gradients().empty()) refuse("gradients that are rows");
    bound.call->context.call = call_.get();
    bound.call->context.rows = bound.plan.plan().capacity();
  }
  const Facts facts{0, 0, 0, options_.seed, 0};
  facts_.send(*stream_, &facts, 1);
  order_ = Piece<uint32_t>(driver_, request.index.size());
  bind_sources_of(request.sources);
  freeze_without_gradient(*model_, request.segments);
  make_groups(request);
  make_parts();
}

CudaSteps::~CudaSteps() { driver_.wait(*stream_); }

// Each input has its columns of all rows on the device, in the source's own type.
void CudaSteps::bind_sources_of(const std::vector<Source>& sources) {
  std::map<std::tuple<std::string, int64_t, int64_t>, const void*> known;
  for (const Spans::Bound& bound : spans_->bound()) {
    from_.emplace_back();
    const std::vector<InputSlot>& inputs = bound.plan.plan().inputs();
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Gather& gather = bound.plan.gathers()[i];
      if (gather.csr()) refuse("[input " + inputs[i].name + "] sparse rows");
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
  (void)sources;
}

void CudaSteps::make_groups(StepsRequest& request) {
  const Layout& layout = model_->layout();
  const Hypers& hypers = request.hypers;
  const int64_t size = size_of(layout.precision), total = layout.param_bytes / size;
  const Updater::Clip& clip = options_.clip;
  const bool clips = clip.value > 0 || clip.norm > 0;
  if (model_->measure_plan(1)) refuse("an update that reads sums over parameters");
  const int64_t hyper_bytes = round_up(hypers.bytes());
  const auto place_of = [&](const std::string& name) -> int64_t {
    const int64_t at = hypers.offset(name);
    if (clips && at >= 0 && name == "segment.l1") return hyper_bytes;
    if (clips && at >= 0 && name == "segment.l2") return hyper_bytes + 8;
    return at;
  };
  const auto target = [&](const Scheduled& one, std::byte* to, int64_t at, double base) {
    if (at < 0) {
      throw std::invalid_argument("this program declares no hyper " + one.name +
                                  " that a schedule could change");
    }
    target_list_.push_back({reinterpret_cast<double*>(to + at), base, one.scale, one.column});
  };
  const int64_t step = hypers.offset("step"), scale = hypers.offset("gradient_scale");
  if (clip.norm > 0 && scale < 0) {
    throw std::invalid_argument("clipping by norm needs the hyper gradient_scale in update");
  }
  const auto together = [](const Segment&) { return false; };
  const std::vector<Segment> segments =
      join_segments(std::move(request.segments), layout, together);
  int64_t longest = 1;
  for (const Segment& segment : segments) longest = std::max(longest, segment.length);
  update_ = model_->update_plan(longest);
  if (!update_->moves().empty()) refuse("an update that does not write its weights in place");
  group_facts_ = Piece<Facts>(driver_, std::max<size_t>(segments.size(), 1));
  std::vector<double*> scales;
  std::vector<Facts> group_facts;
  for (const Segment& segment : segments) {
    std::vector<std::byte> image(static_cast<size_t>(hyper_bytes) + 16);
    std::memcpy(image.data(), hypers.data(), static_cast<size_t>(hypers.bytes()));
    const auto set = [&](int64_t at, double value) {
      std::memcpy(image.data() + at, &value, sizeof value);
    };
    if (scale >= 0) set(scale, 1.0);
    for (const auto& [name, value] : segment.coefficients) {
      const int64_t at = place_of(name);
      if (at < 0 && value != (name == "segment.rate" ? 1.0 : 0.0)) {
        throw std::invalid_argument("update does not read " + name +
                                    ": build the program with it, or leave it out");
      }
      if (at >= 0) set(at, value);
    }
    group_hypers_.push_back(sent(driver_, *stream_, image));
    std::byte* own = group_hypers_.back().data();
    for (const Scheduled& one : segment.scheduled) {
      const auto base = segment.coefficients.find(one.name);
      target(one, own, place_of(one.name), base == segment.coefficients.end() ? 0.0 : base->second);
    }
    for (const Scheduled& one : scheduled_) target(one, own, hypers.offset(one.name), one.base);
    if (step >= 0) target_list_.push_back({reinterpret_cast<double*>(own + step), 0, 1, -1});
    if (scale >= 0) scales.push_back(reinterpret_cast<double*>(own + scale));
    const auto* penalty = clips ? reinterpret_cast<const double*>(own + hyper_bytes) : nullptr;
    const int64_t end = std::min(total, segment.offset + segment.length);
    for (int64_t begin = segment.offset; begin < end; begin += kChunk) {
      chunk_list_.push_back({begin, std::min(begin + kChunk, end), penalty});
    }
    Group& group = groups_.emplace_back(Call(*stream_, group_facts_.data() + groups_.size()),
                                        Plan::Lease(*update_, 1));
    Arrays moved = arrays_;
    moved.param += segment.offset * size;
    moved.gradient += segment.offset * size;
    if (moved.slot != nullptr) moved.slot += segment.offset * size;
    moved.hyper = own;
    moved.lend(group.lease->context);
    group.lease->context.rows = segment.length;
    group_lengths_.push_back(segment.length);
    group_facts.push_back({segment.length, 0, 0, 0, 0});
  }
  if (!group_facts.empty()) {
    group_facts_.send(*stream_, group_facts.data(), group_facts.size());
  }
  for (Group& group : groups_) group.lease->context.call = &group.call;
  std::byte* base = hypers_.data();
  for (const Scheduled& one : scheduled_) target(one, base, hypers.offset(one.name), one.base);
  if (const int64_t rows = hypers.offset("global_rows"); rows >= 0) {
    target_list_.push_back({reinterpret_cast<double*>(base + rows), 0, 1, -2});
  }
  targets_ = sent(driver_, *stream_, target_list_);
  lengths_ = sent(driver_, *stream_, group_lengths_);
  chunks_ = sent(driver_, *stream_, chunk_list_);
  if (clip.norm > 0) {
    squares_ = Piece<double>(driver_, std::max<size_t>(chunk_list_.size(), 1));
    scales_ = sent(driver_, *stream_, scales);
  }
  driver_.wait(*stream_);
}

CudaSteps::Part CudaSteps::part(const std::string& body, std::vector<const void*> pointers,
                                Grid grid) const {
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
  rates_ = Piece<double>(driver_, kRates);
  columns_ = Piece<int64_t>(driver_, 1);
  const auto count = [](const auto& list) { return number(static_cast<int64_t>(list.size())); };
  // Not from the facts: it runs beside `begin`.
  const std::string rows = "slim::rows_of_step(" + state + ", " + number(rule_.batch) + ", " +
                           number(rule_.steps()) + ", " + number(last_rows) + ")";
  begin_ = part("  slim::begin_step(a.facts, " + state + ", a.in<const double>(1), " +
                    "*a.in<const long long>(3), a.in<const slim::StepTarget>(2), " +
                    count(target_list_) + ", " + number(rule_.batch) + ", " +
                    number(rule_.steps()) + ", " + number(last_rows) + ");\n",
                {state_.data(), rates_.data(), targets_.data(), columns_.data()}, {1, kThreads});
  const Updater::Clip& clip = options_.clip;
  const bool f32 = model_->layout().precision == DType::f32;
  const std::string type = f32 ? "float" : "double";
  const std::string squares = clip.norm > 0 ? "a.in<double>(4)" : "nullptr";
  char limit[40];
  std::snprintf(limit, sizeof limit, "%.17g", clip.value);
  prepare_ = part("  slim::prepare_gradient<" + type + ", " + number(kThreads) + ">(" + state +
                      ", a.in<" + type + ">(1), a.in<const " + type +
                      ">(2), a.in<const slim::StepChunk>(3), " + limit + ", " + squares + ");\n",
                  {state_.data(), arrays_.gradient, arrays_.param, chunks_.data(), squares_.data()},
                  {static_cast<int64_t>(chunk_list_.size()), kThreads});
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
      const std::string to = slim::cuda::cuda_type(input.buffer.dtype);
      const std::string from = cuda_type(gather.type());
      const std::string kind = input.buffer.dtype == DType::b8 ? "slim::Truth" : to;
      const int64_t width = input.by_row ? input.buffer.inner() : input.buffer.count(1);
      body += "  slim::gather_rows<" + kind + ", " + to + ">(a.in<const " + from + ">(" +
              number(static_cast<int64_t>(pointers.size())) + "), " +
              (input.by_row ? "a.in<const unsigned int>(1) + " + state + "->next * " +
                                  number(rule_.batch) + ", " + rows + ", "
                            : std::string("nullptr, 1, ")) +
              number(width) + ", a.in<" + to + ">(" +
              number(static_cast<int64_t>(pointers.size() + 1)) + "));\n";
      pointers.push_back(from_[b][i]);
      pointers.push_back(input.buffer.in<void>(context));
      elements = std::max(elements, width * (input.by_row ? plan.capacity() : 1));
    }
    whole.gather = part(body, std::move(pointers), {blocks_for(elements), kThreads});
    const auto& returns = plan.returns();
    const bool norm = clip.norm > 0;
    std::snprintf(limit, sizeof limit, "%.17g", clip.norm);
    whole.judge =
        part("  slim::judge_step<" + number(kThreads) + ">(a.facts, " + state +
                 ", a.in<const double>(1), a.in<const double>(2), "
                 "a.in<const double>(3), a.in<slim::Facts>(4), "
                 "a.in<const long long>(5), " +
                 count(groups_) + ", " + (norm ? "a.in<const double>(6), " : "nullptr, ") +
                 count(chunk_list_) + ", " + limit + ", " +
                 (norm ? "a.in<double* const>(7)" : "nullptr") + ");\n",
             {state_.data(), returns[0].in<void>(context), returns[1].in<void>(context),
              returns[2].in<void>(context), group_facts_.data(), lengths_.data(), squares_.data(),
              scales_.data()},
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
      whole.publish =
          std::make_unique<Part>(part(copies, std::move(places), {blocks_for(words), kThreads}));
    }
    of_plans_.push_back(std::move(whole));
  }
  std::vector<Part*> parts{&begin_, &prepare_};
  for (OfPlan& whole : of_plans_) {
    parts.push_back(&whole.gather);
    parts.push_back(&whole.judge);
    if (whole.publish) parts.push_back(whole.publish.get());
  }
  std::vector<const KernelText*> texts;
  for (const Part* one : parts) texts.push_back(&one->text);
  module_ = driver_.compile(module_text(texts));
  for (size_t i = 0; i < parts.size(); ++i) {
    parts[i]->kernel = module_->kernel("k" + number(static_cast<int64_t>(i)), parts[i]->text.grid);
  }
  make_whole();
  if (whole_) return;
  for (size_t b = 0; b < of_plans_.size(); ++b) {
    const auto branches = [](const Plan::Step& step) { return step.branch != nullptr; };
    const auto& steps = spans_->bound()[b].plan.plan().steps();
    if (std::any_of(steps.begin(), steps.end(), branches)) refuse("a cond in training");
    driver_.begin_recording(*stream_);
    enqueue_step(b);
    of_plans_[b].recording = driver_.end_recording(*stream_);
  }
}

void CudaSteps::enqueue(const Part& part) const noexcept {
  std::vector<const void*> arguments{call_->facts};
  arguments.insert(arguments.end(), part.pointers.begin(), part.pointers.end());
  driver_.launch(*stream_, *part.kernel, part.text.grid, arguments.data(),
                 arguments.size() * sizeof(void*));
}

void CudaSteps::enqueue(const Plan& plan, const CallContext& call) const noexcept {
  for (const Plan::Step& step : plan.steps()) step.launch->run(call.context, 0, nullptr);
  run_moves(plan.moves(), call);
}

void CudaSteps::enqueue_step(size_t bound) const noexcept {
  const OfPlan& whole = of_plans_[bound];
  enqueue(begin_);
  enqueue(whole.gather);
  const Spans::Bound& one = spans_->bound()[bound];
  enqueue(one.plan.plan(), *one.call);
  if (!chunk_list_.empty()) enqueue(prepare_);
  enqueue(whole.judge);
  for (const Group& group : groups_) enqueue(*update_, *group.lease);
  if (whole.publish) enqueue(*whole.publish);
}

// The kernels of a plan; false if it has something else.
bool CudaSteps::add_parts(const Plan& plan, const CallContext& call,
                          std::vector<WholePart>& parts) const {
  if (!plan.moves().empty()) return false;
  bool waits = true;
  for (const Plan::Step& step : plan.steps()) {
    const auto* launch = dynamic_cast<const KernelLaunch*>(step.launch.get());
    if (launch == nullptr) return false;
    std::vector<const void*> pointers;
    for (const Buffer& buffer : launch->text().arguments) {
      pointers.push_back(buffer.in<void>(call.context));
    }
    const auto& own = static_cast<const Call&>(*call.context.call);
    parts.push_back(
        {&launch->text(), own.facts, std::move(pointers), waits || step.barrier, false});
    waits = false;
  }
  return true;
}

void CudaSteps::make_whole() {
  if (of_plans_.size() != 1) return;
  const OfPlan& of_plan = of_plans_[0];
  std::vector<WholePart> parts;
  const auto add = [&](const Part& part, bool waits) {
    parts.push_back({&part.text, call_->facts, part.pointers, waits, false});
  };
  add(begin_, true);
  add(of_plan.gather, false);
  const Spans::Bound& bound = spans_->bound()[0];
  if (!add_parts(bound.plan.plan(), *bound.call, parts)) return;
  if (!chunk_list_.empty()) add(prepare_, true);
  add(of_plan.judge, true);
  // Without a norm the update finds itself whether the step counts, while `judge` takes note of it.
  const bool beside = options_.clip.norm <= 0;
  const size_t updates = parts.size();
  for (const Group& group : groups_) {
    const size_t own = parts.size();
    if (!add_parts(*update_, *group.lease, parts)) return;
    if (own < parts.size()) parts[own].waits = false;  // groups are apart
  }
  if (of_plan.publish) add(*of_plan.publish, false);
  for (size_t i = updates; i < parts.size(); ++i) parts[i].if_it_counts = beside;
  if (updates < parts.size()) parts[updates].waits = !beside;
  whole_ = WholeStep::make(driver_, *stream_, parts, call_->facts, state_.data(),
                           bound.plan.plan().returns()[0].in<void>(bound.call->context));
}

void CudaSteps::begin(const uint32_t* order, const Report& so_far) {
  report_ = so_far;
  order_.send(*stream_, order, order_.size());
}

const Report& CudaSteps::run(int64_t first, int64_t last, const Rates& rates, Watch*) {
  const int64_t room = std::max<int64_t>(1, kRates / rates.columns);
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
      for (const Group& group : groups_) enqueue(*update_, *group.lease);
    });
    if (of_plans_[0].publish) time_part(*of_plans_[0].publish, "state");
  }
  return profile;
}

int64_t CudaSteps::launches_per_step() const {
  const int64_t own = 3 + (chunk_list_.empty() ? 0 : 1) + (of_plans_[0].publish ? 1 : 0);
  return own + spans_->bound()[0].plan.plan().launches() +
         static_cast<int64_t>(groups_.size()) * update_->launches();
}

int64_t CudaSteps::scratch_bytes() const {
  int64_t bytes = 0;
  for (const Spans::Bound& bound : spans_->bound()) bytes += bound.plan.plan().scratch_bytes();
  return bytes;
}

}  // namespace slim::cuda
