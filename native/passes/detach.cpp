// Gives what is assigned a value of its own, so that no assignment reads another's target.
//
//   set %a = %b           %b.new = identity(%a)
//   set %b = %a    =>     %a.new = identity(%b)
//                         set %a = %a.new ...
#include "ir/ops.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace slim {

void detach(Body body) {
  Graph& graph = body.graph;
  Names names(graph);
  const std::vector<int> producer = producers(graph);
  const auto own = [&](Assignment& a) {
    int node = producer[a.value];
    while (node >= 0 && op_row(graph.nodes[node]).has(kAlias)) {
      node = producer[graph.nodes[node].operands[0]];
    }
    if (node >= 0 && !op_row(graph.nodes[node]).has(kSource)) return;
    const Value value = graph.values[a.value];
    const ValueId copy = graph.add_value(names.unique(value.name + ".copy"), value.type);
    graph.nodes.push_back({"identity", {a.value}, {copy}, {}, {}});
    a.value = copy;
  };
  for (Assignment& a : body.sets) own(a);
  for (Assignment& a : body.grads) own(a);
}

}  // namespace slim
