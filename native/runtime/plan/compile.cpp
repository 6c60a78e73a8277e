// parse → passes → memory → prepare: the last two stages.
#include <algorithm>
#include <stdexcept>

#include "ir/loop.h"
#include "ir/ops.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/memory.h"
#include "passes/passes.h"
#include "runtime/plan/plan.h"

namespace slim {
namespace {

int arena_of(Base base) { return static_cast<int>(base); }

// Where `grad` puts what it sets: a stretch behind all other scratch, so that nothing that runs
// before the step is judged, the next batch's gathers included, touches it.
constexpr int kStaged = static_cast<int>(Base::count);

void collect(const Plan::Sequence& sequence, std::vector<Launch*>& launches) {
  for (const Plan::Step& step : sequence.steps) {
    if (step.launch) launches.push_back(step.launch.get());
    if (step.branch) {
      collect(step.branch->then, launches);
      collect(step.branch->otherwise, launches);
    }
    if (step.loop) {
      collect(step.loop->condition, launches);
      collect(step.loop->body, launches);
    }
  }
}

// Packed values of one plan take no more: other operands are packed in each call.
constexpr int64_t kMostPacked = 256 << 20;

// What another device runs of a plan is called so.
constexpr const char* kGuest = "placed";

bool reads_optimizer(const Node& node, const PlanRequest& request) {
  return node.op == "input" && request.symbol == "P";
}

}  // namespace

// What the constructor needs while it works.
class Planner {
 public:
  Planner(const Program& program, const Layout& layout, const PlanRequest& request,
          const Device& device, const Placing& placing)
      : layout_(layout),
        request_(request),
        device_(device),
        placing_(placing),
        compute_(program.compute),
        function_(specialise(*program.find(request.function), request.symbols)) {
    if (const auto open = symbols_of(function_); open.size() > open.count(request.symbol)) {
      const auto size = std::find_if(open.begin(), open.end(), [&](const std::string& symbol) {
        return symbol != request.symbol;
      });
      throw std::invalid_argument("the size of " + *size + " is unknown in func " +
                                  request.function + ": give it a value");
    }
    symbols_[request.symbol] = request.capacity;
    const bool of_rows = request.symbol == "B" && request.function != "init";
    place(function_, of_rows ? placing.where() : Where{});
    optimize(function_, program, device.accepts());
    text_ = print(function_, program);
    plan_memory_of(program);
  }

  const Graph& graph() const { return function_.graph; }
  const Function& function() const { return function_; }
  const MemoryPlan& memory() const { return memory_; }
  const std::string& text() const { return text_; }

  Buffer at(const Graph& graph, ValueId id, const Place& place) const {
    const Type& type = graph.values[static_cast<size_t>(id)].type;
    Buffer buffer;
    const bool staged = place.arena == kStaged;
    buffer.base = staged ? Base::scratch : static_cast<Base>(place.arena);
    buffer.offset = place.offset + (staged ? memory_.scratch_bytes : 0);
    buffer.row_stride = place.row_stride;
    buffer.dtype = type.dtype;
    buffer.storage = type.storage;
    for (const Dim& dim : type.dims) buffer.dims.push_back(dim.evaluate(symbols_));
    if (!request_.exact && !type.dims.empty()) {
      buffer.per_row = type.dims[0].multiple_of(request_.symbol).value_or(0);
    }
    return buffer;
  }
  Buffer at(ValueId id, const Place& place) const { return at(graph(), id, place); }
  Buffer of(ValueId id) const { return at(id, memory_.places[static_cast<size_t>(id)]); }

  // The steps of a graph, without its moves; `touched`: by step.
  Plan::Sequence steps(const Graph& graph, const MemoryPlan& memory, Plan::Touched& touched) {
    const auto buffers = [&](const std::vector<ValueId>& ids) {
      std::vector<Buffer> all;
      for (const ValueId id : ids) {
        all.push_back(at(graph, id, memory.places[static_cast<size_t>(id)]));
      }
      return all;
    };
    Plan::Sequence made;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      const Node& node = graph.nodes[i];
      if (op_row(node).has(kAlias) || op_row(node).has(kSource)) continue;
      Binding binding{graph, node, buffers(node.operands), buffers(node.results)};
      if (runs_regions(node)) {
        std::vector<Buffer> writes = binding.results;
        Plan::Step step;
        if (is_loop(node)) {
          step.loop = loop(binding, memory.regions[i], memory.workspace[i], writes);
        } else {
          step.branch = branch(binding, memory.regions[i], writes);
        }
        made.steps.push_back(std::move(step));
        touched.reads.push_back(binding.operands);
        touched.writes.push_back(std::move(writes));
        continue;
      }
      if (op_row(node).has(kElsewhere)) {
        Plan::Step step;
        step.visit = visit(binding);
        made.steps.push_back(std::move(step));
        touched.reads.push_back(binding.operands);
        touched.writes.push_back(binding.results);
        continue;
      }
      const auto packing = &graph == &this->graph() ? packings_.find(i) : packings_.end();
      if (packing != packings_.end()) {
        const auto& [offset, packs] = packing->second;
        binding.packed = packed_at(offset, packs.bytes);
        const Buffer& operand = binding.operands[packs.operand];
        packed_.layout += std::to_string(static_cast<int>(operand.base)) + " at " +
                          std::to_string(operand.offset) + " rows of " +
                          std::to_string(operand.row()) + " " + packs.layout + "\n";
      }
      for (const auto& [place, bytes] : memory.workspace[i]) {
        binding.workspace.push_back(
            {static_cast<Base>(place.arena), place.offset, DType::u8, {bytes}});
      }
      add_launches(binding, made.steps, touched);
    }
    Plan::mark_barriers(made.steps, touched);
    return made;
  }

  int64_t local_bytes() const { return local_bytes_; }
  const std::vector<const Plan::Visit*>& visits() const { return visits_; }
  Plan::Packed take_packed() { return std::move(packed_); }

  InputSlot input(const Node& node) const {
    const ValueId id = node.results[0];
    const Value& value = function_.graph.values[static_cast<size_t>(id)];
    InputSlot slot;
    slot.name = value.name;
    slot.source = std::get<std::string>(node.attributes.at("source"));
    slot.buffer = of(id);
    slot.by_row = !value.type.dims.empty() && value.type.dims[0].mentions(request_.symbol);
    const bool other = slot.by_row && value.type.dims[0] != Dim::symbol(request_.symbol);
    if (other && !request_.guest) {
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
  static Buffer packed_at(int64_t offset, int64_t bytes) {
    return {Base::packed, offset, DType::u8, {bytes}};
  }

  bool is_array(ValueId id) const {  // of the program: the same in all calls
    if (static_cast<size_t>(id) >= layout_.places.size()) return false;
    const Base base = layout_.places[static_cast<size_t>(id)].base;
    return base == Base::param || base == Base::state;
  }

  // Finds a place for what a node packs of an array of the program.
  void pack(Binding& binding, const std::vector<View>& views) {
    const auto packing = device_.packing(binding);
    if (!packing || packing->bytes > kMostPacked - packed_.bytes) return;
    if (!is_array(views[static_cast<size_t>(binding.node.operands[packing->operand])].root)) return;
    binding.packed = packed_at(packed_.bytes, packing->bytes);
    packings_[static_cast<size_t>(&binding.node - graph().nodes.data())] = {packed_.bytes,
                                                                            *packing};
    packed_.bytes += round_up(packing->bytes) + kAlignment;
  }

  // Bytes of each buffer of a node's workspace; before memory is planned.
  std::vector<int64_t> workspace(const Graph& graph, const Node& node,
                                 const std::vector<View>& views) {
    Binding binding{graph, node, {}, {}};
    const auto shape = [&](ValueId id) {
      return at(graph, id, {0, 0, views[static_cast<size_t>(id)].row_stride});
    };
    for (const ValueId id : node.operands) binding.operands.push_back(shape(id));
    for (const ValueId id : node.results) binding.results.push_back(shape(id));
    if (request_.packed && &graph == &this->graph()) pack(binding, views);
    return device_.workspace(binding);
  }

  // Which launch of a node touches what is the kernel's own: each counts as all of it, so that
  // lanes wait between them.
  void add_launches(const Binding& binding, std::vector<Plan::Step>& steps,
                    Plan::Touched& touched) {
    Prepared prepared = device_.prepare(binding);
    if (prepared.pack) {
      local_bytes_ = std::max(local_bytes_, prepared.pack->local_bytes());
      packed_.launches.push_back(std::move(prepared.pack));
    }
    std::vector<Buffer> writes = binding.results;
    writes.insert(writes.end(), binding.workspace.begin(), binding.workspace.end());
    for (auto& launch : prepared.launches) {
      launch->op = binding.node.op;
      launch->name = binding.graph.values[static_cast<size_t>(binding.node.results[0])].name;
      local_bytes_ = std::max(local_bytes_, launch->local_bytes());
      const bool last = &launch == &prepared.launches.back();
      Plan::Step step;
      step.launch = std::move(launch);
      step.results = last ? binding.results : binding.workspace;
      steps.push_back(std::move(step));
      touched.reads.push_back(binding.operands);
      touched.writes.push_back(writes);
    }
  }

  // The region as a program of its own, whose inputs are the region's parameters.
  std::unique_ptr<Plan::Visit> visit(const Binding& binding) {
    if (!device_.memory().is_host()) {
      binding.refuse("stands within what " + device_.name() +
                     " computes: what other devices compute stands outside of it");
    }
    Program program{compute_, {}, {{kGuest, binding.node.regions[0], {}, {}}}};
    Graph& graph = program.functions[0].graph;
    std::vector<Node> inputs;
    for (size_t i = 0; i < graph.parameters.size(); ++i) {
      inputs.push_back({"input", {}, {graph.parameters[i]}, {{"source", std::to_string(i)}}, {}});
    }
    graph.parameters.clear();
    graph.nodes.insert(graph.nodes.begin(), inputs.begin(), inputs.end());
    PlanRequest request;
    request.function = kGuest;
    request.capacity = request_.capacity;
    request.exact = request_.exact;
    request.guest = true;
    const Device& device =
        placing_.named(std::get<std::string>(binding.node.attributes.at("device")));
    auto made = std::make_unique<Plan::Visit>();
    made->name = binding.graph.values[static_cast<size_t>(binding.node.results[0])].name;
    made->plan = std::make_unique<const Plan>(program, Layout(program), request, device);
    made->guest = visits_.size();
    for (const InputSlot& slot : made->plan->inputs()) {
      made->sent.push_back({binding.operands[std::stoul(slot.source)], slot.buffer});
    }
    for (size_t i = 0; i < binding.results.size(); ++i) {
      made->fetched.push_back({made->plan->returns()[i], binding.results[i]});
    }
    text_ += "\n# on " + device.name() + "\n" + made->plan->text();
    visits_.push_back(made.get());
    return made;
  }

  // `writes` gets what is written inside.
  std::unique_ptr<Plan::Branch> branch(const Binding& binding,
                                       const std::vector<MemoryPlan>& memory,
                                       std::vector<Buffer>& writes) {
    auto made = std::make_unique<Plan::Branch>();
    made->predicate = binding.operands[0];
    Plan::Sequence* const sequences[] = {&made->then, &made->otherwise};
    for (size_t i = 0; i < 2; ++i) {
      *sequences[i] = sequence(binding.node.regions[i], memory[i], writes);
    }
    return made;
  }

  // Of a region, with its moves.
  Plan::Sequence sequence(const Graph& region, const MemoryPlan& memory,
                          std::vector<Buffer>& writes) {
    Plan::Touched touched;
    Plan::Sequence made = steps(region, memory, touched);
    for (const MemoryPlan::Copy& copy : memory.copies) {
      const Place& from = memory.places[static_cast<size_t>(copy.value)];
      made.moves.push_back({at(region, copy.value, from), at(region, copy.value, copy.to)});
      writes.push_back(made.moves.back().to);
    }
    for (const auto& some : touched.writes) writes.insert(writes.end(), some.begin(), some.end());
    return made;
  }

  // Whether a loop's steps need random numbers of their own.
  bool draws(const Binding& binding) const {
    bool found = false;
    for (const Graph& region : binding.node.regions) {
      walk(region, [&](const Graph& graph, const Node& node) {
        if (!op_row(node).has(kRandom)) return;
        if (!device_.memory().is_host()) {
          throw std::invalid_argument(
              "[" + node.op + " " + graph.values[static_cast<size_t>(node.results[0])].name +
              "] draws random numbers in a loop, which this device cannot yet: draw outside, for "
              "all steps at once, and scan over them");
        }
        found = true;
      });
    }
    return found;
  }

  std::unique_ptr<Plan::Loop> loop(const Binding& binding, const std::vector<MemoryPlan>& memory,
                                   const std::vector<MemoryPlan::Stretch>& workspace,
                                   std::vector<Buffer>& writes) {
    const LoopForm form({binding.graph, binding.node});
    const LoopSlots slots(form);
    const Graph& body = form.body(binding.node);
    auto made = std::make_unique<Plan::Loop>();
    made->length = form.length.evaluate(symbols_);
    made->reverse = form.reverse;
    made->draws = draws(binding);
    if (form.counted) made->count = binding.operands[0];
    const auto slot = [&](size_t i, ValueId id) { return at(body, id, workspace[i].place); };
    const auto flag = [&](size_t i) {
      return Buffer{
          static_cast<Base>(workspace[i].place.arena), workspace[i].place.offset, DType::b8, {}};
    };
    made->go = flag(slots.kGo);
    if (form.is_while) {
      made->counted = binding.results.back();
      made->predicate = flag(slots.kCondition);
      made->condition = sequence(binding.node.regions[0], memory[0], writes);
    }
    made->body = sequence(body, memory.back(), writes);
    for (size_t i = 0; i < form.carried; ++i) {
      const Buffer& place = binding.results[i];
      made->start.push_back({binding.operands[form.first_carried() + i], place});
      if (workspace[slots.carried(i)].bytes == 0) continue;
      made->carry.push_back({slot(slots.carried(i), body.returns[i]), place});
    }
    for (size_t i = 0; i < form.scanned; ++i) {
      made->scanned.push_back({binding.operands[form.first_scanned() + i],
                               slot(slots.scanned(i), body.parameters[form.carried + i]),
                               static_cast<size_t>(form.scanned_axis(i))});
    }
    for (size_t i = 0; i < form.stacked; ++i) {
      made->stacked.push_back({binding.results[form.carried + i],
                               slot(slots.stacked(i), body.returns[form.carried + i]),
                               static_cast<size_t>(form.stacked_axis(i))});
    }
    for (const auto& [place, bytes] : workspace) {
      writes.push_back({static_cast<Base>(place.arena), place.offset, DType::u8, {bytes}});
    }
    return made;
  }

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
      const int arena = request_.function == "grad" ? kStaged : arena_of(place.base);
      request.wanted.push_back({set.value, {arena, place.offset}});
    }
    if (is_update(request_.function)) {
      if (function_.graph.returns.size() != 1) {
        throw std::invalid_argument("update returns the next weights and nothing else");
      }
      need_precision(function_.graph.returns[0]);
      request.wanted.push_back({function_.graph.returns[0], {arena_of(Base::param), 0}});
    }
    request.workspace = [this](const Graph& graph, const Node& node,
                               const std::vector<View>& views) {
      return workspace(graph, node, views);
    };
    memory_ = plan_memory(function_, request);
  }

  const Layout& layout_;
  const PlanRequest& request_;
  const Device& device_;
  const Placing& placing_;
  const Compute compute_;
  Function function_;
  std::vector<const Plan::Visit*> visits_;
  std::map<std::string, int64_t> symbols_;
  std::string text_;
  MemoryPlan memory_;
  std::map<size_t, std::pair<int64_t, Packing>> packings_;  // by node: where, and what
  Plan::Packed packed_;
  int64_t local_bytes_ = 0;
};

Plan::Step::Step() = default;
Plan::Step::Step(Step&&) noexcept = default;
Plan::Step& Plan::Step::operator=(Step&&) noexcept = default;
Plan::Step::~Step() = default;

Plan::Plan(const Program& program, const Layout& layout, const PlanRequest& request,
           const Device& device, const Placing& placing)
    : device_(device), request_(request) {
  Planner planner(program, layout, request_, device, placing);
  const Graph& graph = planner.graph();
  scratch_bytes_ = planner.memory().scratch_bytes;
  if (request_.function == "grad") stage(layout, planner.function().sets);
  for (const Node& node : graph.nodes) {
    if (planner.is_sparse(node.results[0])) {
      using Origin = SparseValue::Origin;
      const Buffer value = planner.of(node.results[0]);
      const bool gathered = node.operands.empty();
      const bool from_sparse = !gathered && planner.is_sparse(node.operands[0]);
      if (!gathered && !from_sparse && value.storage == Storage::rows) {
        throw std::invalid_argument("[" + node.op + " " +
                                    graph.values[static_cast<size_t>(node.results[0])].name +
                                    "] keeps rows of an operand that is dense: there is no kernel");
      }
      const int64_t from = from_sparse ? planner.of(node.operands[0]).offset : -1;
      sparse_.push_back({value,
                         gathered      ? Origin::source
                         : from_sparse ? Origin::sparse
                                       : Origin::per_row,
                         static_cast<int>(from)});
    }
    if (node.op == "input" && !reads_optimizer(node, request_)) {
      inputs_.push_back(planner.input(node));
    }
  }
  Touched touched;
  sequence_ = planner.steps(graph, planner.memory(), touched);
  text_ = planner.text();
  visits_ = planner.visits();
  local_bytes_ = planner.local_bytes();
  packed_ = planner.take_packed();
  std::vector<Launch*> launches;
  collect(sequence_, launches);
  device.link(launches);
  plan_moves(planner.memory().copies.size(), [&](size_t i) {
    const MemoryPlan::Copy& copy = planner.memory().copies[i];
    return Move{planner.of(copy.value), planner.at(copy.value, copy.to)};
  });
  if (!is_update(request_.function)) {
    for (const ValueId id : graph.returns) returns_.push_back(keep(planner.of(id)));
  }
  for (const Assignment& grad : planner.function().grads) {
    if (!planner.is_sparse(grad.value)) continue;
    const Buffer rows = planner.of(grad.value);
    const Layout::Place& place = layout.places[static_cast<size_t>(grad.declaration)];
    const Declaration& parameter = program.declarations[static_cast<size_t>(grad.declaration)];
    row_gradients_.push_back(
        {parameter.name, place.offset, rows.dims[0], rows.inner(), rows.offset});
  }
  if (!planner.function().grads.empty()) rewritten_bytes_ = layout.param_bytes;
}

void Plan::stage(const Layout& layout, const std::vector<Assignment>& sets) {
  if (sets.empty()) return;
  for (const Assignment& set : sets) {
    const Layout::Place& place = layout.places[static_cast<size_t>(set.declaration)];
    staged_.push_back({scratch_bytes_ + place.offset, place.offset, place.bytes});
  }
  scratch_bytes_ += layout.state_bytes + kAlignment;
  // Neighbours move as one; the padding between them is zero on both sides.
  std::sort(staged_.begin(), staged_.end(),
            [](const Staged& a, const Staged& b) { return a.to < b.to; });
  size_t last = 0;
  for (size_t i = 1; i < staged_.size(); ++i) {
    if (staged_[i].to == staged_[last].to + round_up(staged_[last].bytes)) {
      staged_[last].bytes = staged_[i].to + staged_[i].bytes - staged_[last].to;
    } else {
      staged_[++last] = staged_[i];
    }
  }
  staged_.resize(last + 1);
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
  sequence_.moves.insert(sequence_.moves.begin(), {buffer, kept});
  return kept;
}

template <class MoveAt>
void Plan::plan_moves(size_t count, MoveAt move_at) {
  for (size_t i = 0; i < count; ++i) {
    Move move = move_at(i);
    move.from = keep(move.from);
    sequence_.moves.push_back(std::move(move));
  }
}

}  // namespace slim
