// parse → passes → memory → prepare: a plan as its calls find it.
#include <algorithm>
#include <stdexcept>

#include "ir/verify.h"
#include "runtime/plan/planner.h"

namespace slim {
namespace {

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

}  // namespace

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
  loops_ = planner.loops();
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
