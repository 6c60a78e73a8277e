// Merges elementwise nodes over one iteration space into one pass over memory.
//
//   %a = mul(%x, %s)               %a, %b = fused(%x, %s) {
//   %b = exp(%a)              =>     (%x, %s)
//   ... %a and %b read later         %a = mul(%x, %s)
//                                    %b = exp(%a)
//                                    yield %a, %b
//                                  }
// A group has one space and one split of it. Scalars that members read are computed inside, and
// so is what costs less to compute than to store (recompute.h).
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

namespace slim {
namespace {

constexpr size_t kMostNodes = 64;     // of a group
constexpr size_t kMostVisits = 2000;  // of one search for a cycle
constexpr size_t kMostSiblings = 8;   // other readers of an operand that are tried

// Nodes that run as one; every node starts as a unit of its own.
struct Unit {
  std::vector<int> members;  // nodes, in order
  bool fusable = false;
  std::vector<Dim> space;
  Split split;
  bool sums = false;   // has a sum among its members
  bool after = false;  // a scalar alone, which may only follow a sum
};

class ElementwiseFuser {
 public:
  // `scalars`: groups of scalars alone, what is left of them after the other groups.
  ElementwiseFuser(Function& function, const Device& device, bool scalars)
      : graph_(function.graph),
        device_(device),
        scalars_(scalars),
        producer_(producers(graph_)),
        kept_(kept_values(function)),
        recomputed_(recomputed(function, device)),
        readers_(graph_.values.size()),
        visited_(graph_.nodes.size(), 0) {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      for (ValueId id : graph_.nodes[i].operands) readers_[id].push_back(static_cast<int>(i));
      unit_of_.push_back(static_cast<int>(i));
      units_.push_back(unit(static_cast<int>(i)));
    }
  }

  void run() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) join(static_cast<int>(i));
    for (size_t i = 0; i < graph_.nodes.size(); ++i) join_leaf(static_cast<int>(i));
    rebuild();
  }

 private:
  Unit unit(int i) const {
    const Node& node = graph_.nodes[i];
    Unit u;
    u.members = {i};
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

  void add_forms(const Node& node, Unit& u) const {
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

  // With the groups that compute its operands, then with those that read the same ones.
  void join(int i) {
    if (!units_[i].fusable) return;
    for (ValueId id : graph_.nodes[i].operands) {
      if (producer_[id] >= 0) merge(unit_of_[producer_[id]], unit_of_[i]);
    }
    for (ValueId id : graph_.nodes[i].operands) {
      if (graph_.values[id].type.dims.empty() && !scalars_) continue;
      size_t tried = 0;
      for (int reader : readers_[id]) {
        if (reader >= i || ++tried > kMostSiblings) break;
        merge(unit_of_[reader], unit_of_[i]);
      }
    }
    // Lists and scalars are small: one launch for many, though they share nothing.
    if (units_[unit_of_[i]].after || units_[unit_of_[i]].space.size() > 1) return;
    int& last = last_of_space_.try_emplace(space_name(units_[unit_of_[i]]), i).first->second;
    merge(unit_of_[last], unit_of_[i]);
    last = i;
  }

  // A returned constant or extent is stored by any group that stores scalars.
  void join_leaf(int i) {
    if (!units_[unit_of_[i]].after || !graph_.nodes[i].operands.empty()) return;
    const auto sums = [](const Unit& unit) { return unit.sums && !unit.members.empty(); };
    const auto group = std::find_if(units_.begin(), units_.end(), sums);
    if (group != units_.end()) merge(static_cast<int>(group - units_.begin()), unit_of_[i]);
  }

  static std::string space_name(const Unit& unit) {
    return unit.space.empty() ? "" : unit.space[0].str();
  }

  void merge(int a, int b) {
    if (a == b || !fit(units_[a], units_[b]) || !fit_around(a, b)) return;
    Unit& into = units_[a];
    Unit& from = units_[b];
    into.after = into.after && from.after;
    if (!from.after) into.space = from.space;
    into.split.add(from.split);
    into.sums = into.sums || from.sums;
    for (int i : from.members) {
      unit_of_[i] = a;
      into.members.push_back(i);
    }
    std::sort(into.members.begin(), into.members.end());
    from.members.clear();
  }

  bool fit(const Unit& a, const Unit& b) const {
    if (!a.fusable || !b.fusable || a.members.size() + b.members.size() > kMostNodes) return false;
    if (a.after != b.after) return (a.after ? b : a).sums && reads_sum(a, b);
    if (a.after) return false;
    return a.space == b.space && a.split.agrees(b.split) && !reads_late(a, b) && !reads_late(b, a);
  }

  // A scalar follows the group whose sum it reads; one from nothing follows any.
  bool reads_sum(const Unit& a, const Unit& b) const {
    const Unit& group = a.after ? b : a;
    const Unit& scalar = a.after ? a : b;
    const bool leaf = graph_.nodes[scalar.members[0]].operands.empty();
    return leaf || (reads_late(scalar, group) && !reads_late(group, scalar));
  }

  // A member of `reader` reads a scalar of `group`: a sum, or what follows one.
  bool reads_late(const Unit& reader, const Unit& group) const {
    if (scalars_) return false;
    for (int i : reader.members) {
      for (ValueId id : graph_.nodes[i].operands) {
        const int from = producer_[id];
        if (from < 0 || !graph_.values[id].type.dims.empty()) continue;
        if (std::binary_search(group.members.begin(), group.members.end(), from)) return true;
      }
    }
    return false;
  }

  // As one, a and b must not wait for a unit that waits for either.
  bool fit_around(int a, int b) const {
    std::vector<int> open;
    ++mark_;
    const auto open_inputs = [&](int u) {
      for (int i : units_[u].members) {
        for (ValueId id : graph_.nodes[i].operands) {
          if (producer_[id] >= 0) open.push_back(unit_of_[producer_[id]]);
        }
      }
    };
    open_inputs(a);
    open_inputs(b);
    std::erase_if(open, [&](int u) { return u == a || u == b; });
    size_t visits = 0;
    while (!open.empty()) {
      const int u = open.back();
      open.pop_back();
      if (u == a || u == b || ++visits > kMostVisits) return false;
      if (visited_[u] == mark_) continue;
      visited_[u] = mark_;
      open_inputs(u);
    }
    return true;
  }

  void rebuild() {
    std::vector<Node> nodes;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Unit& unit = units_[unit_of_[i]];
      if (unit.members.back() != static_cast<int>(i)) continue;
      std::optional<Node> fused = unit.fusable ? build(unit) : std::nullopt;
      nodes.push_back(fused ? std::move(*fused) : graph_.nodes[i]);
    }
    graph_.nodes = std::move(nodes);
    sort_nodes(graph_);
  }

  // Nothing if the unit is a node that stays itself.
  std::optional<Node> build(const Unit& unit) const {
    if (unit.members.size() == 1 && (unit.after || unit.sums)) return std::nullopt;
    RegionBuilder builder(graph_, producer_, [&](int i) {
      if (recomputed_[i]) return true;
      const Node& node = graph_.nodes[i];
      if (!is_scalar_node(graph_, node) || !device_.accepts_elementwise(graph_, node)) return false;
      return units_[unit_of_[i]].members.size() == 1;
    });
    for (int i : unit.members) builder.add(graph_.nodes[i]);
    if (builder.region().nodes.size() < 2) return std::nullopt;
    Node fused{"fused", {}, {}};
    for (int i : unit.members) {
      const ValueId id = graph_.nodes[i].results[0];
      const auto outside = [&](int reader) {
        return unit_of_[reader] != unit_of_[unit.members[0]];
      };
      if (!kept_[id] && std::none_of(readers_[id].begin(), readers_[id].end(), outside)) continue;
      builder.yield(id);
      fused.results.push_back(id);
    }
    fused.operands = builder.operands();
    fused.regions = {builder.region()};
    return fused;
  }

  Graph& graph_;
  const Device& device_;
  const bool scalars_;
  const std::vector<int> producer_;
  const std::vector<bool> kept_;
  const std::vector<bool> recomputed_;     // by node
  std::vector<std::vector<int>> readers_;  // by value: nodes
  std::vector<int> unit_of_;               // by node
  std::vector<Unit> units_;
  std::map<std::string, int> last_of_space_;  // a node of the last group
  mutable std::vector<unsigned> visited_;     // by unit: the last search that met it
  mutable unsigned mark_ = 0;
};

}  // namespace

void fuse_elementwise(Function& function, const Device& device) {
  for (const bool scalars : {false, true}) {
    ElementwiseFuser(function, device, scalars).run();
    prune(function);
  }
}

}  // namespace slim
