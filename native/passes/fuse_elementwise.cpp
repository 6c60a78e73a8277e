// Merges elementwise nodes over one iteration space into one pass over memory.
//
//   %a = mul(%x, %s)               %a, %b = fused(%x, %s) {
//   %b = exp(%a)              =>     (%x, %s)
//   ... %a and %b read later         %a = mul(%x, %s)
//                                    %b = exp(%a)
//                                    yield %a, %b
//                                  }
// A group has one space and one split of it, and lists along the space's last axis beside it.
// Scalars that members read are computed inside, and so is what costs less to compute than to
// store (recompute.h).
// A sum over all of a list closes a group, and scalars computed from it may follow inside:
// the losses of a batch and their weighted mean are one launch.
#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "ir/form.h"
#include "ir/ops.h"
#include "passes/passes.h"
#include "passes/recompute.h"
#include "passes/region.h"
#include "passes/rewrite.h"
#include "passes/units.h"

namespace slim {
namespace {

constexpr size_t kMostNodes = 64;      // of a group
constexpr size_t kMostScalars = 1024;  // of a group of scalars alone
constexpr size_t kMostSiblings = 8;    // other readers of an operand that are tried

// What a unit is to those that would join it.
struct Group {
  bool fusable = false;
  std::vector<Dim> space;
  Split split;
  bool sums = false;   // has a sum among its members
  bool after = false;  // a scalar alone, which may only follow a sum
};

class ElementwiseFuser {
 public:
  // `scalars`: groups of scalars alone, what is left of them after the other groups.
  ElementwiseFuser(Body body, const Accepts& device, bool scalars)
      : graph_(body.graph),
        device_(device),
        scalars_(scalars),
        producer_(producers(graph_)),
        kept_(kept_values(body)),
        recomputed_(recomputed(body, device)),
        readers_(readers(graph_)),
        units_(graph_, producer_, readers_) {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) groups_.push_back(group(static_cast<int>(i)));
  }

  void run() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) join(static_cast<int>(i));
    for (size_t i = 0; i < graph_.nodes.size(); ++i) join_lists(static_cast<int>(i));
    for (size_t i = 0; i < graph_.nodes.size(); ++i) join_leaf(static_cast<int>(i));
    rebuild();
  }

 private:
  Group group(int i) const {
    const Node& node = graph_.nodes[i];
    Group u;
    if (node.results.size() != 1 || recomputed_[i]) return u;
    u.space = graph_.values[node.results[0]].type.dims;
    const bool scalar = u.space.empty();
    const bool widens = node.op == "broadcast" && !scalars_ && is_last(node);
    if (is_elementwise(node) || widens) {
      if (!device_.accepts_elementwise(graph_, node)) return u;
      u.after = scalar && !scalars_;
      u.fusable = scalar || !scalars_;
      add_forms(node, u);
    } else if (scalar && !scalars_ && node.operands.empty() && kept_[node.results[0]]) {
      u.fusable = u.after = device_.accepts_elementwise(graph_, node);
    } else if (!scalars_ && node.op == "reduce_sum" && is_total(node)) {
      u.space = graph_.values[node.operands[0]].type.dims;
      u.fusable = u.sums = device_.accepts_reduction(graph_, node);
    }
    return u;
  }

  void add_forms(const Node& node, Group& u) const {
    for (ValueId id : node.operands) {
      const Form form = form_of(graph_.values[id].type, u.space);
      u.fusable = u.fusable && u.split.admits(form);
      u.split.add(form);
      if (producer_[id] >= 0 && recomputed_[producer_[id]]) {
        add_forms(graph_.nodes[producer_[id]], u);
      }
    }
  }

  bool is_total(const Node& node) const {
    return graph_.values[node.operands[0]].type.dims.size() == 1 &&
           graph_.values[node.results[0]].type.dims.empty();
  }

  // Nothing computes on: a group can store it but not sum or change it.
  bool is_last(const Node& node) const {
    const std::vector<int>& readers = readers_[node.results[0]];
    return std::none_of(readers.begin(), readers.end(), [&](int i) {
      return is_elementwise(graph_.nodes[i]) || graph_.nodes[i].op == "reduce_sum";
    });
  }

  Group& group_of(int i) { return groups_[units_.of(i)]; }

  // With the groups that compute its operands, then with those that read the same ones.
  void join(int i) {
    if (!group_of(i).fusable) return;
    for (ValueId id : graph_.nodes[i].operands) {
      if (producer_[id] >= 0) merge(producer_[id], i);
    }
    for (ValueId id : graph_.nodes[i].operands) {
      if (graph_.values[id].type.dims.empty() && !scalars_) continue;
      const std::vector<int>& siblings = readers_[id];
      auto at = std::lower_bound(siblings.begin(), siblings.end(), i);
      for (size_t tried = 0; at != siblings.begin() && tried < kMostSiblings; ++tried) {
        merge(*--at, i);
      }
    }
    // Lists and scalars are small: one launch for many, though they share nothing.
    if (group_of(i).after || group_of(i).space.size() > 1) return;
    int& last = last_of_space_.try_emplace(space_name(group_of(i)), i).first->second;
    merge(last, i);
    last = i;
  }

  // A list that node `i` reads along its last axis is computed by the same group: once for all
  // of its rows.
  void join_lists(int i) {
    for (ValueId id : graph_.nodes[i].operands) {
      if (producer_[id] < 0) continue;
      const int a = units_.of(producer_[id]), b = units_.of(i);
      const Group& list = groups_[a];
      Group& whole = groups_[b];
      if (!list.fusable || !whole.fusable || list.sums || whole.sums) continue;
      if (list.space.size() != 1 ||
          units_.members(a).size() + units_.members(b).size() > kMostNodes) {
        continue;
      }
      const Form form = form_of({DType::f32, list.space}, whole.space);
      if (form.kind != Form::row || !whole.split.admits(form) || !units_.join(b, a)) continue;
      whole.split.add(form);
    }
  }

  // A returned constant or extent is stored by any group that stores scalars.
  void join_leaf(int i) {
    if (!group_of(i).after || !graph_.nodes[i].operands.empty()) return;
    for (size_t j = 0; j < graph_.nodes.size(); ++j) {
      if (group_of(static_cast<int>(j)).sums) return merge(static_cast<int>(j), i);
    }
  }

  static std::string space_name(const Group& group) {
    return group.space.empty() ? "" : group.space[0].str();
  }

  // The group of node `i` takes that of node `j`.
  void merge(int i, int j) {
    const int a = units_.of(i), b = units_.of(j);
    if (a == b || !fit(a, b) || !units_.join(a, b)) return;
    Group& into = groups_[a];
    const Group& from = groups_[b];
    into.after = into.after && from.after;
    if (!from.after) into.space = from.space;
    into.split.add(from.split);
    into.sums = into.sums || from.sums;
  }

  bool fit(int a, int b) const {
    const Group &x = groups_[a], &y = groups_[b];
    if (!x.fusable || !y.fusable) return false;
    const size_t most = scalars_ ? kMostScalars : kMostNodes;
    if (units_.members(a).size() + units_.members(b).size() > most) return false;
    if (x.after != y.after) return (x.after ? y : x).sums && reads_sum(a, b);
    if (x.after) return false;
    return x.space == y.space && x.split.agrees(y.split) && !reads_late(a, b) && !reads_late(b, a);
  }

  // A scalar follows the group whose sum it reads; one from nothing follows any.
  bool reads_sum(int a, int b) const {
    const int group = groups_[a].after ? b : a, scalar = groups_[a].after ? a : b;
    const bool leaf = graph_.nodes[units_.members(scalar)[0]].operands.empty();
    return leaf || (reads_late(scalar, group) && !reads_late(group, scalar));
  }

  // A member of `reader` reads a scalar of `group`: a sum, or what follows one.
  bool reads_late(int reader, int group) const {
    if (scalars_) return false;
    for (int i : units_.members(reader)) {
      for (ValueId id : graph_.nodes[i].operands) {
        const int from = producer_[id];
        if (from < 0 || !graph_.values[id].type.dims.empty()) continue;
        if (units_.of(from) == group) return true;
      }
    }
    return false;
  }

  void rebuild() {
    std::vector<Node> nodes;
    nodes.reserve(graph_.nodes.size());
    const auto last_of = [&](int i) { return units_.members(units_.of(i)).back() == i; };
    std::vector<std::optional<Node>> fused(graph_.nodes.size());
    const int count = static_cast<int>(graph_.nodes.size());
    for (int i = 0; i < count; ++i) {  // before nodes move: other regions may hold them too
      if (last_of(i) && groups_[units_.of(i)].fusable) fused[i] = build(units_.of(i));
    }
    for (int i = 0; i < count; ++i) {
      if (last_of(i)) nodes.push_back(std::move(fused[i] ? *fused[i] : graph_.nodes[i]));
    }
    graph_.nodes = std::move(nodes);
    sort_nodes(graph_);
  }

  // Nothing if the unit is a node that stays itself.
  std::optional<Node> build(int unit) const {
    const std::vector<int>& members = units_.members(unit);
    if (members.size() == 1 && (groups_[unit].after || groups_[unit].sums)) return std::nullopt;
    RegionBuilder builder(graph_, producer_, [&](int i) {
      if (recomputed_[i]) return true;
      const Node& node = graph_.nodes[i];
      if (!is_scalar_node(graph_, node) || !device_.accepts_elementwise(graph_, node)) return false;
      return units_.members(units_.of(i)).size() == 1;
    });
    for (int i : members) builder.add(graph_.nodes[i]);
    if (builder.region().nodes.size() < 2) return std::nullopt;
    Node fused{"fused", {}, {}, {}, {}};
    for (int i : members) {
      const ValueId id = graph_.nodes[i].results[0];
      const auto outside = [&](int reader) { return units_.of(reader) != unit; };
      if (!kept_[id] && std::none_of(readers_[id].begin(), readers_[id].end(), outside)) continue;
      builder.yield(id);
      fused.results.push_back(id);
    }
    fused.operands = builder.operands();
    fused.regions.push_back(builder.take());
    return fused;
  }

  Graph& graph_;
  const Accepts& device_;
  const bool scalars_;
  const std::vector<int> producer_;
  const std::vector<bool> kept_;
  const std::vector<bool> recomputed_;           // by node
  const std::vector<std::vector<int>> readers_;  // by value: nodes, in order
  Units units_;
  std::vector<Group> groups_;                 // by unit
  std::map<std::string, int> last_of_space_;  // a node of the last group
};

}  // namespace

void fuse_elementwise(Body body, const Accepts& device) {
  for (const bool scalars : {false, true}) {
    ElementwiseFuser(body, device, scalars).run();
    prune(body);
  }
}

}  // namespace slim
