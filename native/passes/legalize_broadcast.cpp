// Leaves elementwise operands only in forms that kernels know: the whole [m,n], a scalar, a
// row [n] or a column [m]; all others are broadcast beforehand.
//
//   %c = add(%a, %b)              %b.wide = broadcast(%b) : f32[B,8,8,3]
//     a [B,8,8,3], b [B,1,1,3]  =>  %c = add(%a, %b.wide)
#include "ir/form.h"
#include "ir/ops.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace slim {

void legalize_broadcast(Body body) {
  Graph& graph = body.graph;
  Names names(graph);
  std::vector<Node> before = std::move(graph.nodes);
  graph.nodes.clear();
  graph.nodes.reserve(before.size());
  for (Node& node : before) {
    Split split;
    if (is_elementwise(node)) {
      const std::vector<Dim> space = graph.values[node.results[0]].type.dims;
      for (ValueId& id : node.operands) {
        const Value& value = graph.values[id];
        const Form form = form_of(value.type, space);
        if (split.admits(form)) {
          split.add(form);
          continue;
        }
        const ValueId wide =
            graph.add_value(names.unique(value.name + ".wide"), {value.type.dtype, space});
        graph.nodes.push_back({"broadcast", {id}, {wide}, {}, {}});
        id = wide;
      }
    }
    graph.nodes.push_back(std::move(node));
  }
}

}  // namespace slim
