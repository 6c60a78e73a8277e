// Lets a sum multiply its terms as it reads them: the product is never stored.
//
//   %p = mul(%a, %b)                          %s = fused(%a, %b) {
//   %s = reduce_sum(%p, axes=[0], ...)   =>     (%a, %b)
//                                               %p = mul(%a, %b)
//                                               %s = reduce_sum(%p, axes=[0], ...)
//                                               yield %s
//                                             }
// and the same of square(%a). One of %a and %b must be there for others too: to store both
// for the sum alone would cost more than the product does.
#include "ir/ops.h"
#include "passes/passes.h"
#include "passes/region.h"
#include "passes/rewrite.h"

namespace slim {

void fuse_reduction(Body body, const Device& device) {
  Graph& graph = body.graph;
  const std::vector<int> producer = producers(graph), uses = count_uses(body);
  const auto pays = [&](const Node& product) {
    if (product.op == "square") return true;
    if (product.op != "mul") return false;
    const ValueId a = product.operands[0], b = product.operands[1];
    const bool alike = graph.values[a].type == graph.values[b].type;
    return a != b && alike && (uses[a] > 1 || uses[b] > 1);
  };
  for (Node& sum : graph.nodes) {
    if (sum.op != "reduce_sum" || graph.values[sum.results[0]].type.dims.empty()) continue;
    const ValueId terms = sum.operands[0];
    const int at = producer[terms];
    if (at < 0 || uses[terms] != 1 || !device.accepts_reduction(graph, sum)) continue;
    const Node& product = graph.nodes[at];
    if (!pays(product)) continue;
    RegionBuilder builder(graph, producer, [](int) { return false; });
    builder.add(product);
    builder.add(sum);
    builder.yield(sum.results[0]);
    sum = {"fused", builder.operands(), sum.results, {}, {builder.region()}};
  }
  prune(body);
}

}  // namespace slim
