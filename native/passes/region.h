// Builds the region of a fused node from nodes of the graph around it.
#pragma once

#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "ir/graph.h"

namespace slim {

class RegionBuilder {
 public:
  // `may_pull(i)`: node i of `outer`, a scalar computed from scalars, may be computed anew
  // inside rather than read.
  RegionBuilder(const Graph& outer, const std::vector<int>& producer,
                std::function<bool(int)> may_pull)
      : outer_(outer), producer_(producer), may_pull_(std::move(may_pull)) {}

  // The inner value of an outer one: already inside, pulled in, or a new parameter.
  ValueId read(ValueId outer, int depth = 0);
  ValueId parameter(ValueId outer);
  void add(const Node& node, int depth = 0);
  void yield(ValueId outer);

  const std::vector<ValueId>& operands() const { return operands_; }  // of the parameters
  const Graph& region() const { return region_; }
  Graph take() { return std::move(region_); }

 private:
  const Graph& outer_;
  const std::vector<int>& producer_;
  std::function<bool(int)> may_pull_;
  Graph region_;
  std::vector<ValueId> operands_;
  std::map<ValueId, ValueId> inner_;  // by outer value
};

// A scalar without operands, or elementwise from scalars.
bool is_scalar_node(const Graph& graph, const Node& node);

// Puts the nodes of a graph without cycles into an order that computes, moving few.
void sort_nodes(Graph& graph);

}  // namespace slim
