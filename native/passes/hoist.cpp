// Computes once, before a loop, what every step of it would compute of what stays the same.
//
//   scan(…, %w) {                          %tanh = tanh(%w)
//     (…, %w : f32[8,32])              =>  scan(…, %w, %tanh) {
//     %tanh = tanh(%w)                       (…, %w : f32[8,32], %tanh : f32[8,32])
//     … = matmul(%h, %tanh)                  … = matmul(%h, %tanh)
//
// Only what cannot fail and has no effect: a loop may take no step.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "ir/loop.h"
#include "ir/ops.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace slim {
namespace {

bool may_move(const Graph& body, const Node& node) {
  const OpRow& op = op_row(node);
  const bool pinned = op.has(kAlias) && node.op != "reshape";
  return node.regions.empty() && !pinned && !op.has(kRandom) && !op.has(kSource) &&
         !op.has(kSparse) && !op.has(kMayFail) &&
         std::all_of(node.results.begin(), node.results.end(), [&](ValueId id) {
           return body.values[static_cast<size_t>(id)].device.empty();
         });
}

// Of which nothing is left inside a tape or a view.
bool is_free(const Node& node) {
  return op_row(node).has(kAlias) || node.op == "broadcast" ||
         (node.operands.empty() && op_row(node).has(kInTape));
}

class Hoister {
 public:
  Hoister(Graph& graph, Names& names, Node& loop)
      : graph_(graph), names_(names), loop_(loop), body_(loop.regions.back()) {
    const LoopForm form({graph, loop});
    const size_t own = form.carried + form.scanned;
    depends_.assign(body_.values.size(), On::step);
    outside_.assign(body_.values.size(), -1);
    made_by_.assign(body_.values.size(), nullptr);
    for (size_t i = own; i < body_.parameters.size(); ++i) {
      depends_[at(body_.parameters[i])] = On::read;
      outside_[at(body_.parameters[i])] = loop.operands[form.first_read() + i - own];
    }
    for (const Node& node : body_.nodes) {
      On on = may_move(body_, node) ? On::nothing : On::step;
      for (const ValueId id : node.operands) on = std::max(on, depends_[at(id)]);
      const bool alone = on == On::read || (on == On::nothing && node.operands.empty());
      moves_.push_back(alone && !is_free(node));
      for (const ValueId id : node.results) {
        depends_[at(id)] = on;
        made_by_[at(id)] = &node;
      }
    }
  }

  void run() {
    if (std::find(moves_.begin(), moves_.end(), true) == moves_.end()) return;
    std::vector<bool> wanted(body_.values.size(), false);
    const auto want = [&](const std::vector<ValueId>& ids) {
      for (const ValueId id : ids) wanted[at(id)] = true;
    };
    for (size_t i = 0; i < body_.nodes.size(); ++i) {
      if (!moves_[i]) want(body_.nodes[i].operands);
    }
    want(body_.returns);
    for (size_t i = 0; i < body_.nodes.size(); ++i) {
      if (!moves_[i]) continue;
      for (const ValueId id : body_.nodes[i].results) {
        if (wanted[at(id)]) read(id);
      }
    }
    size_t i = 0;
    std::erase_if(body_.nodes, [&](const Node&) { return moves_[i++]; });
  }

 private:
  enum class On : uint8_t { nothing, read, step };  // what a value of the body depends on

  static size_t at(ValueId id) { return static_cast<size_t>(id); }

  // The value before the loop that is the body's.
  ValueId outside(ValueId id) {
    if (outside_[at(id)] >= 0) return outside_[at(id)];
    Node node = *made_by_[at(id)];
    for (ValueId& operand : node.operands) operand = outside(operand);
    for (ValueId& result : node.results) {
      const Value& value = body_.values[at(result)];
      const ValueId made = graph_.add_value(names_.unique(value.name), value.type);
      outside_[at(result)] = made;
      result = made;
    }
    graph_.nodes.push_back(std::move(node));
    return outside_[at(id)];
  }

  // The body's value is one that the loop reads.
  void read(ValueId id) {
    loop_.operands.push_back(outside(id));
    body_.parameters.push_back(id);
    for (Graph& region : loop_.regions) {
      if (&region == &body_) continue;
      const Value& value = body_.values[at(id)];
      region.parameters.push_back(region.add_value(Names(region).unique(value.name), value.type));
    }
  }

  Graph& graph_;
  Names& names_;
  Node& loop_;
  Graph& body_;
  std::vector<On> depends_;           // by value of the body
  std::vector<ValueId> outside_;      // likewise; -1: not there
  std::vector<const Node*> made_by_;  // likewise
  std::vector<bool> moves_;           // by node
};

}  // namespace

void hoist(Body body) {
  Graph& graph = body.graph;
  if (std::none_of(graph.nodes.begin(), graph.nodes.end(), is_loop)) return;
  Names names(graph);
  std::vector<Node> before = std::move(graph.nodes);
  graph.nodes.clear();
  for (Node& node : before) {
    if (is_loop(node)) Hoister(graph, names, node).run();
    graph.nodes.push_back(std::move(node));
  }
}

}  // namespace slim
