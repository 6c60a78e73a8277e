// The steps of a plan: launches, branches, loops, and what other devices compute.
#include <algorithm>
#include <stdexcept>

#include "ir/loop.h"
#include "ir/ops.h"
#include "kernels/fills.h"
#include "runtime/call/interrupt.h"
#include "runtime/plan/planner.h"

namespace slim {
namespace {

// What another device runs of a plan is called so.
constexpr const char* kGuest = "placed";

// Bytes from slice to slice of the first axis.
int64_t apart_of(const Buffer& whole) { return whole.inner() * size_of(whole.dtype); }

}  // namespace

Plan::Sequence Planner::steps(const Graph& graph, const MemoryPlan& memory,
                              Plan::Touched& touched) {
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
    if (&graph == &this->graph() && kept_.contains(node.results[0])) {
      for (auto& launch : device_.prepare(binding).launches) add_packing(std::move(launch));
      continue;
    }
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

// A launch that runs once for all calls.
void Planner::add_packing(std::unique_ptr<Launch> launch) {
  local_bytes_ = std::max(local_bytes_, launch->local_bytes());
  packed_.launches.push_back(std::move(launch));
}

// Which launch of a node touches what is the kernel's own: each counts as all of it, so that
// lanes wait between them.
void Planner::add_launches(const Binding& binding, std::vector<Plan::Step>& steps,
                           Plan::Touched& touched) {
  Prepared prepared = device_.prepare(binding);
  if (prepared.pack) add_packing(std::move(prepared.pack));
  std::vector<Buffer> writes = binding.results;
  writes.insert(writes.end(), binding.workspace.begin(), binding.workspace.end());
  for (auto& launch : prepared.launches) {
    launch->op = binding.node.op;
    launch->name = binding.graph.values[static_cast<size_t>(binding.node.results[0])].name;
    local_bytes_ = std::max(local_bytes_, launch->local_bytes());
    const bool last = &launch == &prepared.launches.back();
    Plan::Step step;
    const Cost cost = launch->cost(request_.capacity);
    step.work = std::max(cost.flops + cost.bytes, Watch::kLaunch);
    if (binding.node.op == "custom") step.work = Watch::kWork;  // nobody knows
    const std::vector<Buffer> fills = Fills::of(launch.get());
    step.launch = std::move(launch);
    step.results = last ? binding.results : binding.workspace;
    steps.push_back(std::move(step));
    touched.reads.push_back(fills.empty() ? binding.operands : std::vector<Buffer>{});
    touched.writes.push_back(fills.empty() ? writes : fills);
  }
}

// The region as a program of its own, whose inputs are the region's parameters.
std::unique_ptr<Plan::Visit> Planner::visit(const Binding& binding) {
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
  request.told = request_.told;
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
  if (request.told) text_ += "\n# on " + device.name() + "\n" + made->plan->text();
  visits_.push_back(made.get());
  return made;
}

// `writes` gets what is written inside.
std::unique_ptr<Plan::Branch> Planner::branch(const Binding& binding,
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
Plan::Sequence Planner::sequence(const Graph& region, const MemoryPlan& memory,
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
bool Planner::draws(const Binding& binding) const {
  bool found = false;
  for (const Graph& region : binding.node.regions) {
    walk(region,
         [&](const Graph&, const Node& node) { found = found || op_row(node).has(kRandom); });
  }
  return found;
}

// Of the i-th carried value of a loop.
Plan::Handed Planner::handed(const Binding& binding, const LoopForm& form, const MemoryPlan& memory,
                             const std::vector<MemoryPlan::Stretch>& workspace, size_t i) const {
  const LoopSlots slots(form);
  const Graph& body = form.body(binding.node);
  const ValueId found = body.parameters[i];
  Plan::Handed made;
  made.initial = binding.operands[form.first_carried() + i];
  made.result = binding.results[i];
  made.from = static_cast<Base>(memory.places[static_cast<size_t>(found)].arena);
  made.to = static_cast<Base>(workspace[slots.carried(i)].place.arena);
  made.sliced = workspace[slots.second(i)].bytes == 0;
  if (made.sliced) {
    size_t s = 0;
    while (workspace[slots.stacked(s)].place.arena != static_cast<int>(made.from)) ++s;
    made.second = binding.results[form.carried + s];
    made.apart = apart_of(made.second);
  } else {
    made.second = at(body, found, workspace[slots.second(i)].place);
  }
  return made;
}

std::unique_ptr<Plan::Loop> Planner::loop(const Binding& binding,
                                          const std::vector<MemoryPlan>& memory,
                                          const std::vector<MemoryPlan::Stretch>& workspace,
                                          std::vector<Buffer>& writes) {
  const LoopForm form({binding.graph, binding.node});
  const LoopSlots slots(form);
  const Graph& body = form.body(binding.node);
  device_.prepare_loop();
  loops_ = true;
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
  const auto outside = static_cast<std::ptrdiff_t>(writes.size());
  if (form.is_while) {
    made->counted = binding.results.back();
    made->predicate = flag(slots.kCondition);
    made->condition = sequence(binding.node.regions[0], memory[0], writes);
  }
  made->body = sequence(body, memory.back(), writes);
  for (size_t i = 0; i < form.carried; ++i) {
    const Buffer &place = binding.results[i], &initial = binding.operands[form.first_carried() + i];
    const Buffer left = slot(slots.carried(i), body.returns[i]);
    if (left.base >= Base::moving) {
      made->handed.push_back(handed(binding, form, memory.back(), workspace, i));
      continue;
    }
    made->start.push_back({initial, place});
    if (workspace[slots.carried(i)].bytes > 0) made->carry.push_back({left, place});
  }
  const auto add_slice = [&](std::vector<Plan::Slice>& slices, const Buffer& whole,
                             const Buffer& one, int64_t axis) {
    if (one.base >= Base::moving) {
      made->moving.push_back({whole, one.base, &slices == &made->stacked, apart_of(whole)});
    } else {
      slices.push_back({whole, one, static_cast<size_t>(axis)});
    }
  };
  for (size_t i = 0; i < form.scanned; ++i) {
    add_slice(made->scanned, binding.operands[form.first_scanned() + i],
              slot(slots.scanned(i), body.parameters[form.carried + i]), form.scanned_axis(i));
  }
  for (size_t i = 0; i < form.stacked; ++i) {
    add_slice(made->stacked, binding.results[form.carried + i],
              slot(slots.stacked(i), body.returns[form.carried + i]), form.stacked_axis(i));
  }
  const auto bytes_of = [](const Buffer& buffer) {
    return static_cast<double>(buffer.inner() * size_of(buffer.dtype) *
                               (buffer.dims.empty() ? 1 : buffer.dims[0]));
  };
  made->work = Watch::kLaunch;
  for (const Plan::Move& move : made->carry) made->work += bytes_of(move.from);
  for (const auto* slices : {&made->scanned, &made->stacked}) {
    for (const Plan::Slice& slice : *slices) made->work += bytes_of(slice.one);
  }
  const std::vector<Plan::Step>& steps = made->body.steps;
  const bool launches =
      device_.memory().is_host() &&
      std::all_of(steps.begin(), steps.end(), [](const Plan::Step& step) { return !!step.launch; });
  made->by_rows = launches && memory.back().rows_apart &&
                  std::all_of(steps.begin(), steps.end(),
                              [](const Plan::Step& step) { return step.launch->takes_rows(); });
  made->by_lanes = launches && !form.is_while && made->carry.empty() && made->scanned.empty() &&
                   made->stacked.empty() && made->body.moves.empty();
  Plan::mark_turns(*made, {writes.begin() + outside, writes.end()});
  for (const auto& [place, bytes] : workspace) {
    writes.push_back({static_cast<Base>(place.arena), place.offset, DType::u8, {bytes}});
  }
  return made;
}

}  // namespace slim
