// Finds the nodes that fused regions after them should compute for themselves.
//
//   %n = mul(%a, %row)                        %s = reduce_sum(%a)
//   %s = reduce_sum(%a)               =>      %y = fused(%a, %row, %s) {
//   %y = add(%n, %s)                            %n = mul(%a, %row) ...
#include "passes/recompute.h"

#include <algorithm>
#include <cstdint>

#include "ir/form.h"
#include "ir/ops.h"
#include "passes/rewrite.h"

namespace slim {
namespace {

constexpr int kFewReaders = 2;

class Finder {
 public:
  Finder(const Body& body, const Accepts& device)
      : graph_(body.graph),
        device_(device),
        kept_(kept_values(body)),
        readers_(readers(graph_)),
        stage_(graph_.nodes.size(), 0) {
    const std::vector<int> producer = producers(graph_);
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      for (ValueId id : graph_.nodes[i].operands) {
        if (producer[id] >= 0) stage_[i] = std::max(stage_[i], stage_[producer[id]]);
      }
      if (!is_elementwise(graph_.nodes[i])) ++stage_[i];
    }
  }

  bool recomputed(size_t i) const {
    const Node& node = graph_.nodes[i];
    if (!is_light(node)) return false;
    const ValueId n = node.results[0];
    const std::vector<Dim>& space = graph_.values[n].type.dims;
    if (kept_[n] || space.size() < 2 || readers_[n].size() > kFewReaders) return false;
    int whole = 0;
    for (ValueId id : node.operands) {
      const Form form = form_of(graph_.values[id].type, space);
      if (form.kind == Form::same) {
        ++whole;
        if (!is_stored(id)) return false;
      } else if (form.kind != Form::scalar && !is_last_axis(id, space)) {
        return false;
      }
    }
    return whole == 1 && std::all_of(readers_[n].begin(), readers_[n].end(), [&](int reader) {
             const Node& later = graph_.nodes[reader];
             return stage_[reader] > stage_[i] && is_elementwise(later) &&
                    device_.accepts_elementwise(graph_, later) &&
                    graph_.values[later.results[0]].type.dims == space;
           });
  }

 private:
  bool is_light(const Node& node) const {
    const bool light = node.op == "add" || node.op == "sub" || node.op == "mul" || node.op == "neg";
    return light && device_.accepts_elementwise(graph_, node);
  }

  bool is_last_axis(ValueId id, const std::vector<Dim>& space) const {
    const std::vector<Dim>& dims = graph_.values[id].type.dims;
    return dims.size() == 1 && dims[0] == space.back() && dims[0].constant() != 1;
  }

  // Whatever is fused with what.
  bool is_stored(ValueId id) const {
    return kept_[id] || std::any_of(readers_[id].begin(), readers_[id].end(), [&](int reader) {
             return !is_elementwise(graph_.nodes[reader]);
           });
  }

  const Graph& graph_;
  const Accepts& device_;
  const std::vector<bool> kept_;
  std::vector<std::vector<int>> readers_;  // by value
  std::vector<int> stage_;  // by node: how many nodes that end a fused region come before it
};

}  // namespace

std::vector<bool> recomputed(const Body& body, const Accepts& device) {
  const Finder finder(body, device);
  std::vector<bool> result;
  for (size_t i = 0; i < body.graph.nodes.size(); ++i) result.push_back(finder.recomputed(i));
  return result;
}

}  // namespace slim
