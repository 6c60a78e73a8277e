// Lets sums compute their terms as they read them, and two sums that read one value be one node.
//
//   %p = mul(%a, %b)                          %s = fused(%a, %b) {
//   %s = reduce_sum(%p, axes=[0], ...)   =>     (%a, %b)
//                                               %p = mul(%a, %b)
//                                               %s = reduce_sum(%p, axes=[0], ...)
//                                               yield %s
//                                             }
// and the same of square(%a). One of %a and %b must be there for others too: to store both
// for the sum alone would cost more than the product does. Two sums over the same axes:
//
//   sum(a), sum(mul(a, b)) or sum(square(a))        the slopes of a norm
//   sum(a), sum(square(a - sum(a) / count))         and its moments, their mean computed inside
#include <algorithm>
#include <string>
#include <utility>

#include "ir/moments.h"
#include "ir/ops.h"
#include "passes/passes.h"
#include "passes/region.h"
#include "passes/rewrite.h"
#include "passes/units.h"

namespace slim {
namespace {

constexpr size_t kMostReaders = 64;  // of a factor, that are looked at

class ReductionFuser {
 public:
  ReductionFuser(Body body, const Accepts& device)
      : graph_(body.graph),
        device_(device),
        producer_(producers(graph_)),
        readers_(readers(graph_)),
        uses_(count_uses(body)),
        units_(graph_, producer_, readers_),
        partner_(graph_.nodes.size(), -1),
        inside_(graph_.nodes.size()) {}

  void run() {
    const int count = static_cast<int>(graph_.nodes.size());
    for (int i = 0; i < count; ++i) {
      if (is_sum(graph_.nodes[i])) choose(i);
    }
    std::vector<Node> nodes;
    nodes.reserve(graph_.nodes.size());
    std::vector<Node> fused(graph_.nodes.size());
    for (int i = 0; i < count; ++i) {  // before nodes move: others may be made of them
      if (!inside_[i].empty()) fused[i] = build(i);
    }
    for (int i = 0; i < count; ++i) {
      if (!inside_[i].empty()) {
        nodes.push_back(std::move(fused[i]));
      } else if (partner_[i] < 0) {
        nodes.push_back(std::move(graph_.nodes[i]));
      }
    }
    graph_.nodes = std::move(nodes);
    sort_nodes(graph_);
  }

 private:
  const Type& type(ValueId id) const { return graph_.values[id].type; }

  // The node that computes a value if it is of this op, else -1.
  int made_by(ValueId id, const char* op) const {
    const int node = producer_[id];
    return node >= 0 && graph_.nodes[node].op == op ? node : -1;
  }

  bool is_sum(const Node& node) const {
    return node.op == "reduce_sum" && !type(node.results[0]).dims.empty() &&
           device_.accepts_reduction(graph_, node);
  }

  // What sum i computes inside, and which other sum with it.
  void choose(int i) {
    const int product = product_of(graph_.nodes[i]);
    if (product < 0) return;
    inside_[i] = {product};
    if (graph_.nodes[product].op == "square" && pair_moments(i, product)) return;
    for (ValueId factor : graph_.nodes[product].operands) {
      const std::vector<int>& readers = readers_[factor];
      for (size_t k = 0; k < std::min(readers.size(), kMostReaders); ++k) {
        if (!is_like(readers[k], i) || !units_.join(i, readers[k])) continue;
        partner_[i] = readers[k];
        partner_[readers[k]] = i;
        return;
      }
    }
  }

  // The product that the sum alone reads; -1: its operand is something else.
  int product_of(const Node& sum) const {
    const int at = producer_[sum.operands[0]];
    if (at < 0 || uses_[sum.operands[0]] != 1) return -1;
    const Node& product = graph_.nodes[at];
    if (product.op == "square") return at;
    if (product.op != "mul") return -1;
    const ValueId a = product.operands[0], b = product.operands[1];
    return a != b && type(a) == type(b) && (uses_[a] > 1 || uses_[b] > 1) ? at : -1;
  }

  // A sum of stored values, with no partner yet, over the same axes of the same shape.
  bool is_like(int other, int i) const {
    const Node &a = graph_.nodes[other], &b = graph_.nodes[i];
    return is_sum(a) && partner_[other] < 0 && inside_[other].empty() &&
           a.attributes == b.attributes && type(a.operands[0]) == type(b.operands[0]);
  }

  // sum(square(x - sum(x) / count)) needs of sum(x) what it can compute itself, so that no node
  // can stand between the two.
  bool pair_moments(int i, int product) {
    const int centered = made_by(graph_.nodes[product].operands[0], "sub");
    if (centered < 0) return false;
    const ValueId x = graph_.nodes[centered].operands[0];
    const int mean = made_by(graph_.nodes[centered].operands[1], "div");
    if (mean < 0) return false;
    const int sum = made_by(graph_.nodes[mean].operands[0], "reduce_sum");
    const int count = producer_[graph_.nodes[mean].operands[1]];
    if (sum < 0 || count < 0 || graph_.nodes[sum].operands[0] != x || !is_like(sum, i) ||
        !counts_terms(graph_, graph_.nodes[sum], graph_.nodes[count])) {
      return false;
    }
    partner_[i] = sum;
    partner_[sum] = i;
    inside_[i].insert(inside_[i].end(), {centered, mean, count});
    return true;
  }

  // The plain sum first, then what the other one is made of.
  Node build(int i) const {
    const std::vector<int>& inside = inside_[i];
    RegionBuilder builder(graph_, producer_, [&](int node) {
      return std::find(inside.begin(), inside.end(), node) != inside.end();
    });
    Node fused{"fused", {}, {}, {}, {}};
    for (int sum : {partner_[i], i}) {
      if (sum < 0) continue;
      builder.add(graph_.nodes[sum]);
      builder.yield(graph_.nodes[sum].results[0]);
      fused.results.push_back(graph_.nodes[sum].results[0]);
    }
    fused.operands = builder.operands();
    fused.regions.push_back(builder.take());
    return fused;
  }

  Graph& graph_;
  const Accepts& device_;
  const std::vector<int> producer_;              // by value
  const std::vector<std::vector<int>> readers_;  // by value: nodes, in order
  const std::vector<int> uses_;                  // by value
  Units units_;
  std::vector<int> partner_;              // by node: the sum that is computed with it, or -1
  std::vector<std::vector<int>> inside_;  // by sum: the nodes that it computes itself
};

}  // namespace

void fuse_reduction(Body body, const Accepts& device) {
  ReductionFuser(body, device).run();
  prune(body);
}

}  // namespace slim
