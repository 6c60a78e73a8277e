// Keeps what was rounded for products, and is read by them only, in the sixteen bits that it has.
//
//   %x.bfloat16 = round_bfloat16(%x) : f32[B,20]     %x.bfloat16 = round_bfloat16(%x) : bf16[B,20]
//   %w.bfloat16 = round_bfloat16(%w) : f32[20,8]  => %w.bfloat16 = round_bfloat16(%w) : bf16[20,8]
//   %y = matmul(%x.bfloat16, %w.bfloat16)            %y = matmul(%x.bfloat16, %w.bfloat16)
//
// The rounding may stand in a fused region or behind another product; once, for all that read it.
#include <algorithm>
#include <optional>

#include "ir/ops.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace slim {
namespace {

class Keeper {
 public:
  explicit Keeper(Body body) : graph_(body.graph), kept_(graph_.values.size()) {
    const std::vector<bool> read_at_end = kept_values(body);
    for (const Node& node : graph_.nodes) {
      for (size_t r = 0; r < node.results.size(); ++r) {
        if (!read_at_end[node.results[r]]) kept_[node.results[r]] = rounded_as(node, r);
      }
    }
  }

  void run() {
    // Both operands of a product have one type, or none of them is kept: until nothing changes.
    for (bool changed = true; changed;) {
      changed = false;
      for (const Node& node : graph_.nodes) changed = drop_operands(node) || changed;
    }
    for (Node& node : graph_.nodes) {
      for (size_t r = 0; r < node.results.size(); ++r) {
        const ValueId id = node.results[r];
        if (!kept_[id]) continue;
        graph_.values[id].type.dtype = *kept_[id];
        if (node.regions.empty()) continue;
        Graph& region = node.regions[0];
        region.values[region.returns[r]].type.dtype = *kept_[id];
      }
    }
  }

 private:
  using Kept = std::optional<DType>;

  // The type that has all of a node's result, which is rounded last of all: nothing else in its
  // region reads it.
  static Kept rounded_as(const Node& node, size_t result) {
    if (node.regions.empty()) return rounded_to(node);
    if (!op_row(node).has(kTapeRegion)) return {};
    const Graph& region = node.regions[0];
    const ValueId id = region.returns[result];
    if (std::count(region.returns.begin(), region.returns.end(), id) > 1) return {};
    Kept kept;
    for (const Node& inner : region.nodes) {
      if (std::count(inner.operands.begin(), inner.operands.end(), id) > 0) return {};
      if (inner.results[0] == id) kept = rounded_to(inner);
    }
    return kept;
  }

  // Of what the node reads; true if something was still kept that cannot be.
  bool drop_operands(const Node& node) {
    const std::vector<ValueId>& ids = node.operands;
    const bool multiplies =
        op_row(node).has(kProduct) && kept_[ids[0]] && kept_[ids[0]] == kept_[ids[1]];
    bool dropped = false;
    for (size_t i = multiplies ? 2 : 0; i < ids.size(); ++i) {
      dropped = dropped || kept_[ids[i]];
      kept_[ids[i]].reset();
    }
    return dropped;
  }

  Graph& graph_;
  std::vector<Kept> kept_;  // by value
};

}  // namespace

void keep_rounded(Body body, const Accepts& device) {
  if (device.accepts_sixteen_bits()) Keeper(body).run();
}

}  // namespace slim
