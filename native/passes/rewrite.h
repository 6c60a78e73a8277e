// What passes share: who computes a value, who uses it, and putting one in another's place.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace slim {

// Calls visit(id) with a reference to every use: operands, returns, sets and grads.
template <class F, class Visit>
void visit_uses(F& function, Visit visit) {
  for (auto& node : function.graph.nodes) {
    for (auto& id : node.operands) visit(id);
  }
  for (auto& id : function.graph.returns) visit(id);
  for (auto& a : function.sets) visit(a.value);
  for (auto& a : function.grads) visit(a.value);
}

// By value: the index of the node that computes it, -1 for declarations and parameters.
std::vector<int> producers(const Graph& graph);

// By value: how many uses it has.
std::vector<int> count_uses(const Function& function);

// By value: a use stands outside of nodes (return, set, grad).
std::vector<bool> kept_values(const Function& function);

// Values that stand for others. Chains are followed, so a pass may record as it walks.
class Substitution {
 public:
  ValueId of(ValueId id) const;
  void put(ValueId old, ValueId now);
  void apply(Function& function) const;  // to every use

 private:
  std::vector<ValueId> now_;
};

}  // namespace slim
