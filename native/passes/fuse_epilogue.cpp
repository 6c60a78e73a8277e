// Lets a matmul finish what elementwise nodes do with its product while a tile is hot.
//
//   %p = matmul(%x, %w)            %r = matmul(%x, %w, %b) {
//   %t = add(%p, %b)          =>     (%p, %b)
//   %r = relu(%t)                    %t = add(%p, %b)
//                                    %r = relu(%t)
//                                    yield %r
//                                  }
// What others read of %p or %t is yielded too.
#include <algorithm>

#include "ir/form.h"
#include "ir/ops.h"
#include "passes/passes.h"
#include "passes/recompute.h"
#include "passes/region.h"
#include "passes/rewrite.h"

namespace slim {
namespace {

constexpr size_t kMostNodes = 24;

class EpilogueFuser {
 public:
  EpilogueFuser(Function& function, size_t matmul, const Device& device)
      : graph_(function.graph),
        matmul_(matmul),
        device_(device),
        producer_(producers(graph_)),
        uses_(count_uses(function)),
        recomputed_(recomputed(function, device)),
        space_(graph_.values[graph_.nodes[matmul].results[0]].type.dims) {}

  void run() {
    choose();
    if (chosen_.empty()) return;
    Node fused = build(true);
    std::vector<Node> nodes;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (i == matmul_) {
        nodes.push_back(std::move(fused));
      } else if (!std::binary_search(chosen_.begin(), chosen_.end(), i)) {
        nodes.push_back(std::move(graph_.nodes[i]));
      }
    }
    graph_.nodes = std::move(nodes);
    sort_nodes(graph_);
  }

 private:
  // In order: a node joins if it reads a value inside and nothing that waits for one.
  void choose() {
    inside_.assign(graph_.values.size(), false);
    std::vector<bool> waits(graph_.values.size(), false);
    inside_[graph_.nodes[matmul_].results[0]] = true;
    for (size_t i = matmul_ + 1; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      bool reads = false, late = false;
      for (ValueId id : node.operands) {
        reads = reads || inside_[id];
        late = late || waits[id];
      }
      if (!reads && !late) continue;
      const bool joins =
          !late && !recomputed_[i] && chosen_.size() < kMostNodes && fits(node) && accepted(i);
      for (ValueId id : node.results) (joins ? inside_ : waits)[id] = true;
    }
  }

  // Elementwise over the product, all operands whole, scalar, or along its last axis or not.
  bool fits(const Node& node) const {
    if (!is_elementwise(node) || !device_.accepts_elementwise(graph_, node)) return false;
    if (graph_.values[node.results[0]].type.dims != space_) return false;
    size_t last = 0;
    for (size_t i = 0; i + 1 < space_.size(); ++i) last += space_[i].constant() == 1 ? 0 : 1;
    return std::all_of(node.operands.begin(), node.operands.end(), [&](ValueId id) {
      const Form form = form_of(graph_.values[id].type, space_);
      if (form.kind == Form::same || form.kind == Form::scalar) return true;
      return form.kind != Form::other && form.split == last;
    });
  }

  bool accepted(size_t i) {
    chosen_.push_back(i);
    const Node candidate = build(false);
    if (device_.accepts_epilogue(candidate, candidate.regions[0])) return true;
    chosen_.pop_back();
    return false;
  }

  // With only the last value yielded while choosing, with all that others read at the end.
  Node build(bool with_yields) const {
    const Node& matmul = graph_.nodes[matmul_];
    RegionBuilder builder(graph_, producer_, [&](int i) {
      if (recomputed_[i]) return true;
      return is_scalar_node(graph_, graph_.nodes[i]) &&
             device_.accepts_elementwise(graph_, graph_.nodes[i]);
    });
    builder.parameter(matmul.results[0]);
    for (size_t i : chosen_) builder.add(graph_.nodes[i]);
    Node fused{"matmul", {matmul.operands[0], matmul.operands[1]}, {}, matmul.attributes};
    if (with_yields) {
      yield_if_read(builder, fused, matmul.results[0]);
      for (size_t i : chosen_) yield_if_read(builder, fused, graph_.nodes[i].results[0]);
    } else {
      builder.yield(graph_.nodes[chosen_.back()].results[0]);
    }
    fused.operands.insert(fused.operands.end(), builder.operands().begin() + 1,
                          builder.operands().end());
    fused.regions = {builder.region()};
    return fused;
  }

  void yield_if_read(RegionBuilder& builder, Node& fused, ValueId id) const {
    int inside = 0;
    for (size_t i : chosen_) {
      const std::vector<ValueId>& operands = graph_.nodes[i].operands;
      inside += static_cast<int>(std::count(operands.begin(), operands.end(), id));
    }
    if (uses_[id] == inside) return;
    builder.yield(id);
    fused.results.push_back(id);
  }

  Graph& graph_;
  const size_t matmul_;
  const Device& device_;
  const std::vector<int> producer_;
  const std::vector<int> uses_;
  const std::vector<bool> recomputed_;  // by node
  const std::vector<Dim> space_;
  std::vector<size_t> chosen_;  // nodes, in order
  std::vector<bool> inside_;    // by value
};

}  // namespace

void fuse_epilogue(Function& function, const Device& device) {
  std::vector<ValueId> products;
  for (const Node& node : function.graph.nodes) {
    if (node.op == "matmul" && node.regions.empty()) products.push_back(node.results[0]);
  }
  for (ValueId id : products) {
    const int matmul = producers(function.graph)[id];
    EpilogueFuser(function, static_cast<size_t>(matmul), device).run();
  }
  prune(function);
}

}  // namespace slim
