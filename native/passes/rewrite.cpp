// The small tools of rewriting.
#include "passes/rewrite.h"

namespace slim {

std::vector<int> producers(const Graph& graph) {
  std::vector<int> producer(graph.values.size(), -1);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (ValueId id : graph.nodes[i].results) producer[id] = static_cast<int>(i);
  }
  return producer;
}

std::vector<int> count_uses(const Function& function) {
  std::vector<int> uses(function.graph.values.size(), 0);
  visit_uses(function, [&](const ValueId& id) { ++uses[id]; });
  return uses;
}

std::vector<bool> kept_values(const Function& function) {
  std::vector<bool> kept(function.graph.values.size(), false);
  for (ValueId id : function.graph.returns) kept[id] = true;
  for (const Assignment& a : function.sets) kept[a.value] = true;
  for (const Assignment& a : function.grads) kept[a.value] = true;
  return kept;
}

ValueId Substitution::of(ValueId id) const {
  while (static_cast<size_t>(id) < now_.size() && now_[id] != id) id = now_[id];
  return id;
}

void Substitution::put(ValueId old, ValueId now) {
  for (size_t id = now_.size(); id <= static_cast<size_t>(old); ++id) {
    now_.push_back(static_cast<ValueId>(id));
  }
  now_[old] = of(now);
}

void Substitution::apply(Function& function) const {
  visit_uses(function, [&](ValueId& id) { id = of(id); });
}

}  // namespace slim
