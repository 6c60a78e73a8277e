// Lets a convolution pool its map while it is hot, and its gradients read what the pooling gives
// back where it lies, window by window: no whole map is stored.
//
//   %r = convolution(%x, %w, %b) { add, relu }      %p, %i = pooled_convolution(%x, %w, %b)
//   %p, %i = max_pool(%r)
//   …
//   %g = max_pool_grad(%d, %i)                  =>
//   %dx = convolution_input_grad(%g, %w)            %dx = pooled_convolution_input_grad(%d, %w, %i)
//   %dw = convolution_filter_grad(%x, %g)           %dw = pooled_convolution_filter_grad(%x, %d,
//   %i)
//
// Windows lie side by side, and nobody else reads %r, %i or %g.
#include <algorithm>
#include <utility>

#include "ir/ops.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace slim {
namespace {

class PoolingFuser {
 public:
  PoolingFuser(Body body, const Accepts& device)
      : graph_(body.graph),
        device_(device),
        producer_(producers(graph_)),
        kept_(kept_values(body)),
        readers_(readers(graph_)),
        gone_(graph_.nodes.size(), false) {}

  void run() {
    for (Node& node : graph_.nodes) {
      if (node.op == "max_pool") fuse(node);
    }
    std::vector<Node> nodes;
    nodes.reserve(graph_.nodes.size());
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (!gone_[i]) nodes.push_back(std::move(graph_.nodes[i]));
    }
    graph_.nodes = std::move(nodes);
  }

 private:
  // What a convolution's region does before the pooling.
  struct Ending {
    bool fits = false, relu = false;
  };

  const Type& type(ValueId id) const { return graph_.values[id].type; }

  void fuse(Node& pool) {
    const int at = producer_[pool.operands[0]];
    if (at < 0 || gone_[at] || graph_.nodes[at].op != "convolution") return;
    const Node& convolution = graph_.nodes[at];
    const Ending ending = ending_of(convolution);
    if (!ending.fits || kept_[pool.operands[0]] || readers_[pool.operands[0]].size() != 1 ||
        !device_.accepts_pooling(graph_, convolution, pool) || !is_given_back(convolution, pool)) {
      return;
    }
    const ValueId places = pool.results[1];
    const Attributes windows = convolution.attributes.with("pool", pool.attributes.at("kernel"));
    for (const int spread : readers_[places]) {
      const Node& from = graph_.nodes[spread];
      for (const int reader : readers_[from.results[0]]) {
        Node& to = graph_.nodes[reader];
        std::replace(to.operands.begin(), to.operands.begin() + 2, from.results[0],
                     from.operands[0]);
        to.operands.insert(to.operands.begin() + 2, places);
        to.op = "pooled_" + to.op;
        to.attributes = windows;
      }
      gone_[spread] = true;
    }
    graph_.values[places].type.dtype = DType::u8;
    pool.op = "pooled_convolution";
    pool.operands = convolution.operands;
    pool.attributes = windows.with("relu", ending.relu);
    gone_[at] = true;
  }

  // A bias, relu, both or nothing.
  Ending ending_of(const Node& convolution) const {
    if (convolution.regions.empty()) return {convolution.results.size() == 1, false};
    const Graph& region = convolution.regions[0];
    if (region.returns.size() != 1 || convolution.operands.size() > 3) return {};
    bool biased = false, relu = false;
    ValueId value = region.parameters[0];
    for (const Node& node : region.nodes) {
      const auto reads = [&](ValueId id) {
        return std::count(node.operands.begin(), node.operands.end(), id) == 1;
      };
      if (!reads(value) || relu) return {};
      if (node.op == "relu") {
        relu = true;
      } else if (node.op == "add" && !biased && region.parameters.size() == 2 &&
                 reads(region.parameters[1]) &&
                 region.values[region.parameters[1]].type.dims.size() == 1 &&
                 region.values[region.parameters[1]].type.dims[0] ==
                     region.values[value].type.dims.back()) {
        biased = true;
      } else {
        return {};
      }
      value = node.results[0];
    }
    return {value == region.returns[0] && biased == (convolution.operands.size() == 3), relu};
  }

  // Whether all that reads the places are gradients of the pooling, and these are read by those of
  // the convolution alone.
  bool is_given_back(const Node& convolution, const Node& pool) const {
    const ValueId map = pool.operands[0], places = pool.results[1];
    const auto gives = [&](int at) {
      const Node& spread = graph_.nodes[at];
      if (spread.op != "max_pool_grad" || spread.operands[0] == places ||
          spread.attributes != pool.attributes || type(spread.results[0]) != type(map)) {
        return false;
      }
      const ValueId whole = spread.results[0];
      return !kept_[whole] && std::all_of(readers_[whole].begin(), readers_[whole].end(),
                                          [&](int i) { return takes(i, whole, convolution); });
    };
    return !kept_[places] && std::all_of(readers_[places].begin(), readers_[places].end(), gives);
  }

  bool takes(int at, ValueId whole, const Node& convolution) const {
    const Node& node = graph_.nodes[at];
    const bool image = node.op == "convolution_input_grad";
    return (image || node.op == "convolution_filter_grad") &&
           node.attributes == convolution.attributes && node.operands[image ? 0 : 1] == whole &&
           std::count(node.operands.begin(), node.operands.end(), whole) == 1 &&
           (image ? type(node.operands[1]) : type(node.results[0])) ==
               type(convolution.operands[1]);
  }

  Graph& graph_;
  const Accepts& device_;
  const std::vector<int> producer_;
  const std::vector<bool> kept_;
  const std::vector<std::vector<int>> readers_;  // by value: nodes, in order
  std::vector<bool> gone_;                       // by node
};

}  // namespace

void fuse_pooling(Body body, const Accepts& device) { PoolingFuser(body, device).run(); }

}  // namespace slim
