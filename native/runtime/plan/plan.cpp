// parse → passes → memory → prepare: the last two stages, and the contexts of the calls.
#include "runtime/plan/plan.h"

#include <algorithm>
#include <stdexcept>

#include "ir/ops.h"
#include "ir/text.h"
#include "passes/memory.h"
#include "passes/passes.h"
#include "runtime/call/fork.h"

namespace slim {
namespace {

// Rough speeds of one lane, for the question how many pay: flop/s, byte/s, and the seconds
// that a launch, another lane in a meeting, the start of a region, and the write to a line
// of cache that another lane has read cost.
constexpr double kFlops = 60e9;
constexpr double kBytes = 30e9;
constexpr double kLaunchSeconds = 50e-9;
constexpr double kMeetSeconds = 60e-9;
constexpr double kRegionSeconds = 5e-6;
constexpr double kLineSeconds = 13e-9;
// A shorter step stays alone: one turn of the system's scheduler at the wrong time takes what
// another lane gives in thousands of them.
constexpr double kLeastSeconds = 200e-6;

// A context with more scratch than this goes back to the system, not to the pool.
constexpr int64_t kPooledBytes = 64 << 20;

bool overlap(const Buffer& a, const Buffer& b) {
  if (a.base != b.base) return false;
  if (a.base == Base::sparse) return a.offset == b.offset;
  const auto end = [](const Buffer& buffer) {
    int64_t bytes = size_of(buffer.dtype);
    for (const int64_t dim : buffer.dims) bytes *= dim;
    return buffer.offset + bytes;
  };
  return a.offset < end(b) && b.offset < end(a);
}

bool any_overlap(const std::vector<Buffer>& some, const std::vector<Buffer>& others) {
  return std::any_of(some.begin(), some.end(), [&](const Buffer& a) {
    return std::any_of(others.begin(), others.end(),
                       [&](const Buffer& b) { return overlap(a, b); });
  });
}

int arena_of(Base base) { return static_cast<int>(base); }

bool reads_optimizer(const Node& node, const PlanRequest& request) {
  return node.op == "input" && request.function == "update";
}

}  // namespace

// What the constructor needs while it works.
class Planner {
 public:
  Planner(const Program& program, const Layout& layout, const PlanRequest& request)
      : layout_(layout), request_(request), function_(*program.find(request.function)) {
    symbols_[request.symbol] = request.capacity;
    optimize(function_, program, Device());
    text_ = print(function_, program);
    plan_memory_of(program);
  }

  const Graph& graph() const { return function_.graph; }
  const Function& function() const { return function_; }
  const MemoryPlan& memory() const { return memory_; }
  const std::string& text() const { return text_; }

  Buffer at(ValueId id, const Place& place) const {
    const Type& type = function_.graph.values[static_cast<size_t>(id)].type;
    Buffer buffer;
    buffer.base = static_cast<Base>(place.arena);
    buffer.offset = place.offset;
    buffer.dtype = type.dtype;
    buffer.storage = type.storage;
    for (const Dim& dim : type.dims) buffer.dims.push_back(dim.evaluate(symbols_));
    if (!request_.exact && !type.dims.empty()) {
      buffer.per_row = type.dims[0].multiple_of(request_.symbol).value_or(0);
    }
    return buffer;
  }
  Buffer of(ValueId id) const { return at(id, memory_.places[static_cast<size_t>(id)]); }

  InputSlot input(const Node& node) const {
    const ValueId id = node.results[0];
    const Value& value = function_.graph.values[static_cast<size_t>(id)];
    InputSlot slot;
    slot.name = value.name;
    slot.source = std::get<std::string>(node.attributes.at("source"));
    slot.buffer = of(id);
    slot.by_row = !value.type.dims.empty() && value.type.dims[0].mentions(request_.symbol);
    if (slot.by_row && value.type.dims[0] != Dim::symbol(request_.symbol)) {
      throw std::invalid_argument("[input " + value.name + "] " + to_string(value.type) +
                                  ": the leading dimension of an input is B or fixed");
    }
    const auto columns = node.attributes.find("columns");
    if (columns != node.attributes.end()) {
      slot.columns = std::get<std::vector<int64_t>>(columns->second);
    }
    return slot;
  }

  bool is_sparse(ValueId id) const {
    return !is_dense(function_.graph.values[static_cast<size_t>(id)].type);
  }

 private:
  // Weights and gradients are read and written where they lie: one element for each.
  void need_precision(ValueId id) const {
    const Value& value = function_.graph.values[static_cast<size_t>(id)];
    const Type needed{layout_.precision, {Dim::symbol(request_.symbol)}};
    if (value.type == needed) return;
    throw std::invalid_argument("[update " + value.name + "] needs " + to_string(needed) +
                                ", declared as " + to_string(value.type));
  }

  void plan_memory_of(const Program& program) {
    MemoryRequest request;
    request.symbols = symbols_;
    for (size_t i = 0; i < program.declarations.size(); ++i) {
      const Layout::Place& place = layout_.places[i];
      request.fixed[static_cast<ValueId>(i)] = {arena_of(place.base), place.offset};
    }
    for (const Node& node : function_.graph.nodes) {
      if (!reads_optimizer(node, request_)) continue;
      const auto& source = std::get<std::string>(node.attributes.at("source"));
      if (source != "weight" && source != "gradient") {
        throw std::invalid_argument("update reads the sources weight and gradient, not " + source);
      }
      need_precision(node.results[0]);
      const Base base = source == "weight" ? Base::param : Base::gradient;
      request.fixed[node.results[0]] = {arena_of(base), 0};
    }
    int64_t sparse = 0;
    for (const Node& node : function_.graph.nodes) {
      for (const ValueId id : node.results) {
        if (is_sparse(id)) request.fixed[id] = {arena_of(Base::sparse), sparse++};
      }
    }
    for (const Assignment& grad : function_.grads) {
      if (is_sparse(grad.value)) continue;  // rows: the updater fetches them
      const int64_t offset = layout_.places[static_cast<size_t>(grad.declaration)].offset;
      request.wanted.push_back({grad.value, {arena_of(Base::gradient), offset}});
    }
    for (const Assignment& set : function_.sets) {
      const Layout::Place& place = layout_.places[static_cast<size_t>(set.declaration)];
      request.wanted.push_back({set.value, {arena_of(place.base), place.offset}});
    }
    if (request_.function == "update") {
      if (function_.graph.returns.size() != 1) {
        throw std::invalid_argument("update returns the next weights and nothing else");
      }
      need_precision(function_.graph.returns[0]);
      request.wanted.push_back({function_.graph.returns[0], {arena_of(Base::param), 0}});
    }
    memory_ = plan_memory(function_, request);
  }

  const Layout& layout_;
  const PlanRequest& request_;
  Function function_;
  std::map<std::string, int64_t> symbols_;
  std::string text_;
  MemoryPlan memory_;
};

Plan::Plan(const Program& program, const Layout& layout, const PlanRequest& request,
           const KernelSet& kernels)
    : request_(request), hyper_bytes_(layout.hyper_bytes) {
  const Planner planner(program, layout, request_);
  const Graph& graph = planner.graph();
  text_ = planner.text();
  scratch_bytes_ = planner.memory().scratch_bytes;
  std::vector<std::vector<Buffer>> reads, writes;
  for (const Node& node : graph.nodes) {
    if (planner.is_sparse(node.results[0])) {
      const bool gathered = node.operands.empty();
      const int64_t from = gathered ? -1 : planner.of(node.operands[0]).offset;
      sparse_.push_back({planner.of(node.results[0]), static_cast<int>(from)});
    }
    if (node.op == "input") {
      if (!reads_optimizer(node, request_)) inputs_.push_back(planner.input(node));
      continue;
    }
    if (op_row(node).has(kAlias)) continue;
    Binding binding{graph, node, {}, {}};
    for (const ValueId id : node.operands) binding.operands.push_back(planner.of(id));
    for (const ValueId id : node.results) binding.results.push_back(planner.of(id));
    const auto prepare = kernels.prepare.find(node.op);
    if (prepare == kernels.prepare.end()) {
      binding.refuse("there is no kernel of this name for " + kernels.isa);
    }
    Step step;
    step.launch = prepare->second(binding);
    step.launch->op = node.op;
    step.launch->name = graph.values[static_cast<size_t>(node.results[0])].name;
    local_bytes_ = std::max(local_bytes_, step.launch->local_bytes());
    step.results = binding.results;
    steps_.push_back(std::move(step));
    reads.push_back(binding.operands);
    writes.push_back(binding.results);
  }
  plan_moves(planner.memory().copies.size(), [&](size_t i) {
    const MemoryPlan::Copy& copy = planner.memory().copies[i];
    return Move{planner.of(copy.value), planner.at(copy.value, copy.to)};
  });
  if (request_.function != "update") {
    for (const ValueId id : graph.returns) returns_.push_back(keep(planner.of(id)));
  }
  for (const Assignment& grad : planner.function().grads) {
    if (!planner.is_sparse(grad.value)) continue;
    const Buffer rows = planner.of(grad.value);
    const Layout::Place& place = layout.places[static_cast<size_t>(grad.declaration)];
    row_gradients_.push_back({place.offset, rows.dims[0], rows.inner(), rows.offset});
  }
  mark_meetings(reads, writes);
  if (!planner.function().grads.empty()) rewritten_bytes_ = layout.param_bytes;
}

// Every read sees the old value: what a later move or a store in place would overwrite goes
// through scratch first.
Buffer Plan::keep(const Buffer& buffer) {
  if (buffer.base != Base::state && buffer.base != Base::param) return buffer;
  Buffer kept = buffer;
  kept.base = Base::scratch;
  kept.offset = scratch_bytes_;
  int64_t bytes = size_of(buffer.dtype);
  for (const int64_t dim : buffer.dims) bytes *= dim;
  scratch_bytes_ += round_up(bytes) + kAlignment;
  moves_.insert(moves_.begin(), {buffer, kept});
  return kept;
}

template <class MoveAt>
void Plan::plan_moves(size_t count, MoveAt move_at) {
  for (size_t i = 0; i < count; ++i) {
    Move move = move_at(i);
    move.from = keep(move.from);
    moves_.push_back(std::move(move));
  }
}

// Lanes run on from launch to launch as long as these touch nothing that another lane may
// still be reading or writing.
void Plan::mark_meetings(const std::vector<std::vector<Buffer>>& reads,
                         const std::vector<std::vector<Buffer>>& writes) {
  std::vector<Buffer> read, written;
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (any_overlap(reads[i], written) || any_overlap(writes[i], written) ||
        any_overlap(writes[i], read)) {
      steps_[i].meet = true;
      read.clear();
      written.clear();
    }
    read.insert(read.end(), reads[i].begin(), reads[i].end());
    written.insert(written.end(), writes[i].begin(), writes[i].end());
  }
}

int Plan::useful_lanes(int64_t rows, int available, int64_t runs) const {
  if (available <= 1) return 1;
  struct Part {
    double seconds;
    int64_t tasks;
  };
  std::vector<Part> parts;
  int64_t meetings = 3;  // the batch's, and before and after what follows the plan
  int64_t written = rewritten_bytes_;
  double best = 0;
  for (const Step& step : steps_) {
    const Cost cost = step.launch->cost(rows);
    parts.push_back({kLaunchSeconds + std::max(cost.flops / kFlops, cost.bytes / kBytes),
                     std::max<int64_t>(1, step.launch->tasks(rows))});
    meetings += step.meet;
    for (const Buffer& buffer : step.results) written += buffer.count(rows) * size_of(buffer.dtype);
    best += parts.back().seconds;
  }
  if (best < kLeastSeconds) return 1;
  best *= 0.9;  // less is no gain worth other calls' lanes
  int useful = 1;
  for (int lanes = 2; lanes <= available;
       lanes = std::max(lanes + 1, std::min(2 * lanes, available))) {
    double seconds = kMeetSeconds * static_cast<double>(meetings * lanes) +
                     kRegionSeconds / static_cast<double>(runs) +
                     kLineSeconds * static_cast<double>(written / kAlignment / lanes);
    for (const Part& part : parts) {
      const int64_t longest = (part.tasks + lanes - 1) / lanes;
      seconds += part.seconds * static_cast<double>(longest) / static_cast<double>(part.tasks);
    }
    if (seconds < best) {
      best = seconds;
      useful = lanes;
    }
  }
  return useful;
}

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
    owned_->hyper = Arena(plan.hyper_bytes_);
    owned_->context.base[arena_of(Base::scratch)] = owned_->scratch.data();
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
