// Cuts a function into the stretches that other devices compute.
#include <algorithm>
#include <climits>
#include <stdexcept>

#include "ir/ops.h"
#include "passes/passes.h"
#include "passes/region.h"
#include "passes/rewrite.h"

namespace slim {
namespace {

// A value on the way to another device is the same value.
void drop_copies(Function& function) {
  Substitution same;
  for (const Node& node : function.graph.nodes) {
    if (node.op == "copy") same.put(node.results[0], node.operands[0]);
  }
  same.apply(function);
  std::erase_if(function.graph.nodes, [](const Node& node) { return node.op == "copy"; });
}

class Placer {
 public:
  Placer(Function& function, const Where& where)
      : graph_(function.graph),
        producer_(producers(function.graph)),
        readers_(readers(function.graph)),
        kept_(kept_values(function)) {
    for (const Node& node : graph_.nodes) {
      const auto known = where.find(graph_.values[node.results[0]].device);
      const bool here = known == where.end() || node.op == "input" || is_anywhere(node) ||
                        op_row(node).has(kElsewhere);
      devices_.push_back(here ? "" : known->second);
    }
    for (Value& value : graph_.values) value.device.clear();
    find_hops();
  }

  void run() {
    const int last = hops_.empty() ? 0 : *std::max_element(hops_.begin(), hops_.end());
    std::vector<std::map<std::string, std::vector<int>>> stretches(static_cast<size_t>(last) + 1);
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      stretches[static_cast<size_t>(hops_[i])][devices_[i]].push_back(static_cast<int>(i));
    }
    std::vector<Node> nodes;
    for (const auto& by_device : stretches) {
      for (const auto& [device, members] : by_device) {
        if (!device.empty()) {
          nodes.push_back(placed(device, members));
          continue;
        }
        for (const int i : members) nodes.push_back(graph_.nodes[static_cast<size_t>(i)]);
      }
    }
    graph_.nodes = std::move(nodes);
  }

 private:
  // How often a value has changed its device on the longest way to it: what stands on one device
  // after as many of them does not wait for each other by way of a third.
  void find_hops() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      int most = 0;
      for (const ValueId id : graph_.nodes[i].operands) {
        if (producer_[id] < 0) continue;
        const auto from = static_cast<size_t>(producer_[id]);
        if (is_anywhere(graph_.nodes[from])) continue;
        most = std::max(most, hops_[from] + (devices_[from] != devices_[i] ? 1 : 0));
      }
      hops_.push_back(most);
    }
    // As late as what reads it allows: what comes of parameters alone joins a later stretch.
    for (size_t i = graph_.nodes.size(); i-- > 0;) {
      int least = INT_MAX;
      for (const ValueId id : graph_.nodes[i].results) {
        if (kept_[id]) least = hops_[i];
        for (const int reader : readers_[id]) {
          const auto to = static_cast<size_t>(reader);
          least = std::min(least, hops_[to] - (devices_[to] != devices_[i] ? 1 : 0));
        }
      }
      if (!devices_[i].empty() && least != INT_MAX) hops_[i] = least;
    }
  }

  Node placed(const std::string& device, const std::vector<int>& members) {
    RegionBuilder builder(graph_, producer_,
                          [&](int i) { return is_anywhere(graph_.nodes[static_cast<size_t>(i)]); });
    const auto inside = [&](int i) {
      return std::binary_search(members.begin(), members.end(), i);
    };
    Node made{"placed", {}, {}, {{"device", device}}, {}};
    for (const int i : members) builder.add(graph_.nodes[static_cast<size_t>(i)]);
    for (const int i : members) {
      for (const ValueId id : graph_.nodes[static_cast<size_t>(i)].results) {
        if (!kept_[id] && std::all_of(readers_[id].begin(), readers_[id].end(), inside)) continue;
        builder.yield(id);
        made.results.push_back(id);
      }
    }
    made.operands = builder.operands();
    made.regions.push_back(builder.take());
    for (const std::vector<ValueId>* list : {&made.operands, &made.results}) {
      for (const ValueId id : *list) need_dense(graph_.values[id], device);
    }
    return made;
  }

  static void need_dense(const Value& value, const std::string& device) {
    if (is_dense(value.type)) return;
    throw std::invalid_argument("%" + value.name + " is " + to_string(value.type) +
                                ": what is not dense stays where it is, and is not copied to or "
                                "from " +
                                device);
  }

  Graph& graph_;
  const std::vector<int> producer_;
  const std::vector<std::vector<int>> readers_;
  const std::vector<bool> kept_;
  std::vector<std::string> devices_;  // by node; empty: where the plan runs
  std::vector<int> hops_;             // by node
};

}  // namespace

void place(Function& function, const Where& where) {
  const auto& nodes = function.graph.nodes;
  const auto is_copy = [](const Node& node) { return node.op == "copy"; };
  if (where.empty() && std::none_of(nodes.begin(), nodes.end(), is_copy)) return;
  drop_copies(function);
  prune(function);
  Placer(function, where).run();
  prune(function);
}

}  // namespace slim
