// Lets a product (an op with the trait kEpilogue) finish what elementwise nodes do with it
// while a piece of it is hot.
//
//   %p = matmul(%x, %w)            %r = matmul(%x, %w, %b) {
//   %t = add(%p, %b)          =>     (%p, %b)
//   %r = relu(%t)                    %t = add(%p, %b)
//                                    %r = relu(%t)
//                                    yield %r
//                                  }
// What others read of %p or %t is yielded too. Random numbers are ended as products are, where
// their shape is fixed: initial values, drawn in tiles, are no memory beside the weights.
#include <algorithm>
#include <set>

#include "ir/form.h"
#include "ir/ops.h"
#include "passes/passes.h"
#include "passes/recompute.h"
#include "passes/region.h"
#include "passes/rewrite.h"
#include "passes/units.h"

namespace slim {
namespace {

constexpr size_t kMostMembers = 24;

class EpilogueFuser {
 public:
  EpilogueFuser(Body body, const Accepts& device)
      : graph_(body.graph),
        device_(device),
        producer_(producers(graph_)),
        kept_(kept_values(body)),
        recomputed_(recomputed(body, device)),
        readers_(readers(graph_)),
        units_(graph_, producer_, readers_) {}

  void run() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (is_product(graph_.nodes[i])) choose(static_cast<int>(i));
    }
    std::vector<Node> nodes;
    nodes.reserve(graph_.nodes.size());
    const auto members = [&](int i) -> const std::vector<int>& {
      return units_.members(units_.of(i));
    };
    const int count = static_cast<int>(graph_.nodes.size());
    std::vector<Node> fused(graph_.nodes.size());
    for (int i = 0; i < count; ++i) {  // before nodes move: other regions may hold them too
      if (members(i).size() > 1 && members(i)[0] == i) fused[i] = build(members(i), true);
    }
    for (int i = 0; i < count; ++i) {
      if (members(i).size() > 1 && members(i)[0] != i) continue;
      nodes.push_back(std::move(members(i).size() > 1 ? fused[i] : graph_.nodes[i]));
    }
    graph_.nodes = std::move(nodes);
    sort_nodes(graph_);
  }

 private:
  bool is_product(const Node& node) const {
    return op_row(node).has(kEpilogue) && node.regions.empty() &&
           is_dense(graph_.values[node.results[0]].type);
  }

  // In order: a node joins if it reads a value inside and nothing that waits for one.
  void choose(int product) {
    std::set<int> open(readers_[graph_.nodes[product].results[0]].begin(),
                       readers_[graph_.nodes[product].results[0]].end());
    while (!open.empty()) {
      const int i = *open.begin();
      open.erase(open.begin());
      if (!may_join(product, i) || !units_.join(product, i)) continue;
      for (ValueId id : graph_.nodes[i].results) {
        open.insert(readers_[id].begin(), readers_[id].end());
      }
    }
  }

  bool may_join(int product, int i) const {
    std::vector<int> members = units_.members(product);
    if (recomputed_[i] || units_.members(units_.of(i)).size() > 1 ||
        members.size() > kMostMembers || !fits(product, graph_.nodes[i])) {
      return false;
    }
    members.push_back(i);
    const Node candidate = build(members, false);
    return device_.accepts_epilogue(candidate, candidate.regions[0]);
  }

  // Elementwise over the product, all operands whole, scalar, or along its last axis or not.
  bool fits(int product, const Node& node) const {
    const std::vector<Dim>& space = graph_.values[graph_.nodes[product].results[0]].type.dims;
    if (!is_elementwise(node) || !device_.accepts_elementwise(graph_, node)) return false;
    if (graph_.values[node.results[0]].type.dims != space) return false;
    size_t last = 0;
    for (size_t i = 0; i + 1 < space.size(); ++i) last += space[i].constant() == 1 ? 0 : 1;
    return std::all_of(node.operands.begin(), node.operands.end(), [&](ValueId id) {
      const Form form = form_of(graph_.values[id].type, space);
      if (form.kind == Form::same || form.kind == Form::scalar) return true;
      return form.kind == Form::row ? form.split == last
                                    : form.kind == Form::column && form.split <= last;
    });
  }

  // With only the last value yielded while choosing, with all that others read at the end.
  Node build(const std::vector<int>& members, bool with_yields) const {
    const Node& product = graph_.nodes[members[0]];
    RegionBuilder builder(graph_, producer_, [&](int i) {
      if (recomputed_[i]) return true;
      return is_scalar_node(graph_, graph_.nodes[i]) &&
             device_.accepts_elementwise(graph_, graph_.nodes[i]);
    });
    builder.parameter(product.results[0]);
    for (size_t i = 1; i < members.size(); ++i) builder.add(graph_.nodes[members[i]]);
    Node fused{product.op, product.operands, {}, product.attributes, {}};
    for (int i : members) {
      const ValueId id = graph_.nodes[i].results[0];
      if (with_yields ? !is_read(id) : i != members.back()) continue;
      builder.yield(id);
      fused.results.push_back(id);
    }
    fused.operands.insert(fused.operands.end(), builder.operands().begin() + 1,
                          builder.operands().end());
    fused.regions.push_back(builder.take());
    return fused;
  }

  // By others than the unit that computes it.
  bool is_read(ValueId id) const {
    return kept_[id] || std::any_of(readers_[id].begin(), readers_[id].end(), [&](int reader) {
             return units_.of(reader) != units_.of(producer_[id]);
           });
  }

  Graph& graph_;
  const Accepts& device_;
  const std::vector<int> producer_;
  const std::vector<bool> kept_;
  const std::vector<bool> recomputed_;           // by node
  const std::vector<std::vector<int>> readers_;  // by value: nodes, in order
  Units units_;
};

}  // namespace

void fuse_epilogue(Body body, const Accepts& device) {
  EpilogueFuser(body, device).run();
  prune(body);
}

}  // namespace slim
