// What turns a function into a plan: where its values lie, and its steps. Plan's constructor uses
// it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ir/loop.h"
#include "passes/memory.h"
#include "runtime/plan/plan.h"

namespace slim {

// Where `grad` puts what it sets: a stretch behind all other scratch, so that nothing that runs
// before the step is judged, the next batch's gathers included, touches it.
constexpr int kStaged = static_cast<int>(Base::count);

// Whether an input is what the update reads: weights or gradients, where they lie.
bool reads_optimizer(const Node& node, const PlanRequest& request);

class Planner {
 public:
  Planner(const Program& program, const Layout& layout, const PlanRequest& request,
          const Device& device, const Placing& placing);

  const Graph& graph() const { return function_.graph; }
  const Function& function() const { return function_; }
  const MemoryPlan& memory() const { return memory_; }
  const std::string& text() const { return text_; }

  // planner.cpp: where values lie.
  Buffer at(const Graph& graph, ValueId id, const Place& place) const;
  Buffer at(ValueId id, const Place& place) const { return at(graph(), id, place); }
  Buffer of(ValueId id) const { return at(id, memory_.places[static_cast<size_t>(id)]); }
  InputSlot input(const Node& node) const;
  bool is_sparse(ValueId id) const {
    return !is_dense(function_.graph.values[static_cast<size_t>(id)].type);
  }

  // planner_steps.cpp: the steps of a graph, without its moves; `touched`: by step.
  Plan::Sequence steps(const Graph& graph, const MemoryPlan& memory, Plan::Touched& touched);
  int64_t local_bytes() const { return local_bytes_; }
  const std::vector<const Plan::Visit*>& visits() const { return visits_; }
  bool loops() const { return loops_; }  // whether there are any
  Plan::Packed take_packed() { return std::move(packed_); }

 private:
  static Buffer packed_at(int64_t offset, int64_t bytes) {
    return {Base::packed, offset, DType::u8, {bytes}};
  }
  bool is_array(ValueId id) const;
  void need_precision(ValueId id) const;
  void keep_results_of_arrays(const Program& program, MemoryRequest& request);
  void pack(Binding& binding, const std::vector<View>& views);
  std::vector<int64_t> workspace(const Graph& graph, const Node& node,
                                 const std::vector<View>& views);
  void plan_memory_of(const Program& program);

  void add_packing(std::unique_ptr<Launch> launch);
  void add_launches(const Binding& binding, std::vector<Plan::Step>& steps, Plan::Touched& touched);
  std::unique_ptr<Plan::Visit> visit(const Binding& binding);
  std::unique_ptr<Plan::Branch> branch(const Binding& binding,
                                       const std::vector<MemoryPlan>& memory,
                                       std::vector<Buffer>& writes);
  Plan::Sequence sequence(const Graph& region, const MemoryPlan& memory,
                          std::vector<Buffer>& writes);
  bool draws(const Binding& binding) const;
  Plan::Handed handed(const Binding& binding, const LoopForm& form, const MemoryPlan& memory,
                      const std::vector<MemoryPlan::Stretch>& workspace, size_t i) const;
  std::unique_ptr<Plan::Loop> loop(const Binding& binding, const std::vector<MemoryPlan>& memory,
                                   const std::vector<MemoryPlan::Stretch>& workspace,
                                   std::vector<Buffer>& writes);

  const Layout& layout_;
  const PlanRequest& request_;
  const Device& device_;
  const Placing& placing_;
  const Compute compute_;
  Function function_;
  std::vector<const Plan::Visit*> visits_;
  bool loops_ = false;
  std::map<std::string, int64_t> symbols_;
  std::string text_;
  MemoryPlan memory_;
  std::map<size_t, std::pair<int64_t, Packing>> packings_;  // by node: where, and what
  std::set<ValueId> kept_;  // computed of the program's arrays alone
  Plan::Packed packed_;
  int64_t local_bytes_ = 0;
};

}  // namespace slim
