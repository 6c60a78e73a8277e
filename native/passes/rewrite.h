// What passes share: who computes a value, who uses it, what it is called, and putting one in
// another's place.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "passes/body.h"

namespace slim {

// Calls visit(id) with a reference to every use: operands, returns, sets and grads.
template <class Visit>
void visit_uses(const Body& body, Visit visit) {
  for (Node& node : body.graph.nodes) {
    for (ValueId& id : node.operands) visit(id);
  }
  for (ValueId& id : body.graph.returns) visit(id);
  for (Assignment& a : body.sets) visit(a.value);
  for (Assignment& a : body.grads) visit(a.value);
}

// By value: the index of the node that computes it, -1 for declarations and parameters.
std::vector<int> producers(const Graph& graph);

// By value: the nodes that read it, in order, once for each operand.
std::vector<std::vector<int>> readers(const Graph& graph);

// By value: how many uses it has.
std::vector<int> count_uses(const Body& body);

// By value: a use stands outside of nodes (return, set, grad).
std::vector<bool> kept_values(const Body& body);

// The names of a graph, read when the first new one is wanted.
class Names {
 public:
  explicit Names(const Graph& graph) : graph_(graph) {}

  // The wish, or the wish and a number; taken from now on.
  std::string unique(const std::string& wish);

 private:
  const Graph& graph_;
  std::unordered_map<std::string, int> taken_;  // and how many took a number after it
};

// Values that stand for others. Chains are followed, so a pass may record as it walks.
class Substitution {
 public:
  ValueId of(ValueId id) const;
  void put(ValueId old, ValueId now);
  void apply(const Body& body) const;  // to every use

 private:
  std::vector<ValueId> now_;
};

}  // namespace slim
