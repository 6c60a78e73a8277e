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

std::vector<std::vector<int>> readers(const Graph& graph) {
  std::vector<std::vector<int>> readers(graph.values.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (ValueId id : graph.nodes[i].operands) readers[id].push_back(static_cast<int>(i));
  }
  return readers;
}

std::vector<int> count_uses(const Body& body) {
  std::vector<int> uses(body.graph.values.size(), 0);
  visit_uses(body, [&](const ValueId& id) { ++uses[id]; });
  return uses;
}

std::vector<bool> kept_values(const Body& body) {
  std::vector<bool> kept(body.graph.values.size(), false);
  for (ValueId id : body.graph.returns) kept[id] = true;
  for (const Assignment& a : body.sets) kept[a.value] = true;
  for (const Assignment& a : body.grads) kept[a.value] = true;
  return kept;
}

std::string Names::unique(const std::string& wish) {
  if (taken_.empty()) {
    for (const Value& value : graph_.values) taken_.emplace(value.name, 0);
  }
  const auto [known, is_new] = taken_.emplace(wish, 0);
  if (is_new) return wish;
  int& number = known->second;  // stays where it is while others come
  std::string name;
  do {
    name = wish + '_' + std::to_string(++number);
  } while (!taken_.emplace(name, 0).second);
  return name;
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

void Substitution::apply(const Body& body) const {
  visit_uses(body, [&](ValueId& id) { id = of(id); });
}

}  // namespace slim
