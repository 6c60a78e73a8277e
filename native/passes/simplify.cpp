// Rewrites that give the same numbers with less work.
//
//   identity(x), stop_gradient(x), x*1, x/1, x+0, x-0, neg(neg(x)), select(c, x, x)  =>  x
//   cast, reshape, broadcast, transpose to the same type  =>  x;  two in a row  =>  one
//   csr_transpose(csr_transpose(x))  =>  x
//   matmul(transpose(a), b)      =>  matmul(a, b, transpose_a=true)
//   add(a, neg(b))               =>  sub(a, b)
//   mul(broadcast(s), x)         =>  mul(s, x)
//   mul(2.0, 3.0)                =>  6.0
//   reduce_sum(neg(x))           =>  neg(reduce_sum(x))
//   relu_grad(dropout(g, k), y)  =>  mul(relu_grad(g, d), 1/k)  where d = dropout(y, k) is the
//                                    same draw: d > 0 where y > 0 and y was kept
#include <algorithm>
#include <numeric>
#include <optional>
#include <unordered_map>

#include "ir/ops.h"
#include "ir/type_rules.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace slim {
namespace {

class Simplifier {
 public:
  explicit Simplifier(Body body) : body_(body), graph_(body.graph), names_(graph_) {}

  void run() {
    std::vector<Node> before = std::move(graph_.nodes);
    graph_.nodes.clear();
    graph_.nodes.reserve(before.size());
    for (Node& node : before) {
      for (ValueId& id : node.operands) id = same_.of(id);
      drop_broadcasts(node);
      shorten(node);
      if (const ValueId known = known_value(node); known >= 0) {
        same_.put(node.results[0], known);
      } else {
        fold(node);
        keep(std::move(node));
      }
    }
    same_.apply(body_);
    prune(body_);
  }

 private:
  const Type& type(ValueId id) const { return graph_.values[id].type; }

  // The node that computes a value if it is of this op, else null.
  const Node* made_by(ValueId id, const char* op) const {
    const int at = static_cast<size_t>(id) < producer_.size() ? producer_[id] : -1;
    return at >= 0 && graph_.nodes[at].op == op ? &graph_.nodes[at] : nullptr;
  }

  void keep(Node node) {
    producer_.resize(graph_.values.size(), -1);
    for (ValueId id : node.results) producer_[id] = static_cast<int>(graph_.nodes.size());
    if (node.op == "dropout") dropouts_.emplace(node.operands[0], graph_.nodes.size());
    graph_.nodes.push_back(std::move(node));
  }

  // The number that fills a value.
  std::optional<double> number(ValueId id) const {
    const Node* node = made_by(id, "constant");
    if (node == nullptr) return std::nullopt;
    const Attribute& value = node->attributes.at("value");
    if (const double* number = std::get_if<double>(&value)) return *number;
    if (const int64_t* integer = std::get_if<int64_t>(&value)) {
      if (std::abs(*integer) < int64_t{1} << 31) return static_cast<double>(*integer);
    }
    return std::nullopt;
  }

  // A value that the node's only result equals, -1 if none is known.
  ValueId known_value(const Node& node) const {
    if (node.operands.empty() || node.results.size() != 1 || !node.regions.empty()) return -1;
    const ValueId x = node.operands[0];
    const ValueId y = node.operands.back();
    const Type& result = type(node.results[0]);
    const bool x_fits = type(x) == result, y_fits = type(y) == result;
    const std::string& op = node.op;
    if (op == "identity" || op == "stop_gradient") return x;
    if (op == "cast" || op == "reshape" || op == "broadcast") {
      if (x_fits) return x;
      const Node* inner = op == "cast" ? made_by(x, "cast") : nullptr;
      const bool widened = inner != nullptr && type(x).dtype == DType::f64 &&
                           result.dtype == DType::f32 && type(inner->operands[0]) == result;
      return widened ? inner->operands[0] : -1;
    }
    if (op == "transpose") {
      const auto& perm = std::get<std::vector<int64_t>>(node.attributes.at("perm"));
      return std::is_sorted(perm.begin(), perm.end()) ? x : -1;
    }
    if (op == "csr_transpose") {
      const Node* inner = made_by(x, "csr_transpose");
      return inner != nullptr ? inner->operands[0] : -1;
    }
    if (op == "reduce_sum") return x_fits ? x : -1;
    if (op == "neg") {
      const Node* inner = made_by(x, "neg");
      return inner != nullptr ? inner->operands[0] : -1;
    }
    if (op == "select") return node.operands[1] == y && y_fits ? y : -1;
    if (x_fits && number(y) == 1.0 && (op == "mul" || op == "div")) return x;
    if (x_fits && number(y) == 0.0 && (op == "add" || op == "sub")) return x;
    if (y_fits && number(x) == 1.0 && op == "mul") return y;
    if (y_fits && number(x) == 0.0 && op == "add") return y;
    return -1;
  }

  // Elementwise operands broadcast by themselves, and a filled one is a scalar.
  void drop_broadcasts(Node& node) {
    if (!is_elementwise(node)) return;
    for (size_t k = 0; k < node.operands.size(); ++k) {
      const ValueId id = node.operands[k];
      const Node* wide = made_by(id, "broadcast");
      const Node* filled = type(id).dims.empty() ? nullptr : made_by(id, "constant");
      if (wide == nullptr && filled == nullptr) continue;
      std::vector<Dim> dims = wide != nullptr ? type(wide->operands[0]).dims : std::vector<Dim>();
      for (size_t other = 0; other < node.operands.size(); ++other) {
        if (other != k) broadcast_dims(dims, type(node.operands[other]).dims);
      }
      if (dims != type(node.results[0]).dims) continue;
      node.operands[k] = wide != nullptr ? wide->operands[0] : scalar_like(*filled);
    }
  }

  ValueId scalar_like(const Node& filled) {
    const Value value = graph_.values[filled.results[0]];
    Node scalar{"constant", {}, {}, filled.attributes, {}};
    const ValueId id = graph_.add_value(names_.unique(value.name), {value.type.dtype, {}});
    scalar.results = {id};
    keep(std::move(scalar));
    return id;
  }

  // The same node with a simpler operand.
  void shorten(Node& node) {
    if (node.op == "reshape" || node.op == "broadcast") {
      if (const Node* inner = made_by(node.operands[0], node.op.c_str())) {
        node.operands = inner->operands;
      }
      if (node.op == "broadcast" &&
          count_of(type(node.operands[0]).dims) == count_of(type(node.results[0]).dims)) {
        node.op = "reshape";
      }
    } else if (node.op == "transpose") {
      if (const Node* inner = made_by(node.operands[0], "transpose")) {
        auto perm = std::get<std::vector<int64_t>>(node.attributes.at("perm"));
        const auto& first = std::get<std::vector<int64_t>>(inner->attributes.at("perm"));
        for (int64_t& axis : perm) axis = first[static_cast<size_t>(axis)];
        node.attributes = node.attributes.with("perm", std::move(perm));
        node.operands = inner->operands;
      }
    } else if (node.op == "matmul") {
      absorb_transpose(node, 0, "transpose_a");
      absorb_transpose(node, 1, "transpose_b");
    } else if (node.op == "add") {
      if (const Node* inner = made_by(node.operands[1], "neg")) {
        node.op = "sub";
        node.operands[1] = inner->operands[0];
      }
    } else if (node.op == "sub") {
      if (const Node* inner = made_by(node.operands[1], "neg")) {
        node.op = "add";
        node.operands[1] = inner->operands[0];
      }
    } else if (node.op == "reduce_sum") {
      if (const Node* inner = made_by(node.operands[0], "neg")) {
        const ValueId x = inner->operands[0];
        node.operands[0] =
            add_node("reduce_sum", {x}, node.results[0], ".positive", node.attributes);
        node.op = "neg";
        node.attributes = {};
      } else {
        sum_before_unpooling(node);
      }
    } else if (node.op == "relu_grad") {
      draw_once(node);
      mask_before_unpooling(node);
    }
  }

  // What a pooling gives back it gives to the largest, which are positive where what it gave
  // is: the mask is laid on fewer elements.
  //   relu_grad(max_pool_grad(d, places), x), places of max_pool(x)
  //     => max_pool_grad(relu_grad(d, max_pool(x)), places)
  void mask_before_unpooling(Node& node) {
    if (node.op != "relu_grad") return;
    const Node* unpooled = made_by(node.operands[0], "max_pool_grad");
    if (unpooled == nullptr || type(node.operands[0]) != type(node.results[0])) return;
    const ValueId d = unpooled->operands[0], places = unpooled->operands[1];
    const Attributes windows = unpooled->attributes;
    const Node* pool = made_by(places, "max_pool");
    if (pool == nullptr || pool->results[1] != places || pool->operands[0] != node.operands[1] ||
        pool->attributes != windows) {
      return;
    }
    const ValueId masked = add_node("relu_grad", {d, pool->results[0]}, d, ".masked");
    node.op = "max_pool_grad";
    node.operands = {masked, places};
    node.attributes = windows;
  }

  // A channel's sum over all pixels is that of the windows, each of which has a largest.
  void sum_before_unpooling(Node& node) {
    const Node* unpooled = made_by(node.operands[0], "max_pool_grad");
    if (unpooled == nullptr) return;
    const size_t rank = type(node.operands[0]).dims.size();
    std::vector<int64_t> all(rank - 1);
    std::iota(all.begin(), all.end(), 0);
    const auto numbers = [&](const char* key) {
      return std::get<std::vector<int64_t>>(unpooled->attributes.at(key));
    };
    if (std::get<std::vector<int64_t>>(node.attributes.at("axes")) != all) return;
    const std::vector<int64_t> kernel = numbers("kernel"), padding = numbers("padding");
    for (size_t i = 0; i < padding.size(); ++i) {
      if (padding[i] > 0 && (padding[i] >= kernel[i / 2] || numbers("dilations")[i / 2] > 1))
        return;
    }
    node.operands[0] = unpooled->operands[0];
  }

  // A new value like `like`, computed by this op.
  ValueId add_node(const char* op, std::vector<ValueId> operands, ValueId like, const char* suffix,
                   Attributes attributes = {}) {
    const Value value = graph_.values[like];
    const ValueId id = graph_.add_value(names_.unique(value.name + suffix), value.type);
    keep({op, std::move(operands), {id}, std::move(attributes), {}});
    return id;
  }

  void draw_once(Node& node) {
    const Node* dropped = made_by(node.operands[0], "dropout");
    if (dropped == nullptr || type(node.operands[0]) != type(node.operands[1])) return;
    const ValueId slope = dropped->operands[0], keep_prob = dropped->operands[1];
    ValueId forward = -1;
    const auto [first, last] = dropouts_.equal_range(node.operands[1]);
    for (auto at = first; at != last; ++at) {
      const Node& other = graph_.nodes[at->second];
      if (other.operands[1] != keep_prob || other.attributes != dropped->attributes) continue;
      forward = other.results[0];
      break;
    }
    if (forward < 0) return;
    const ValueId kept = add_node("relu_grad", {slope, forward}, node.results[0], ".kept");
    const ValueId factor = add_node("reciprocal", {keep_prob}, keep_prob, ".reciprocal");
    node.op = "mul";
    node.operands = {kept, factor};
  }

  void absorb_transpose(Node& node, size_t k, const char* flag) {
    const Node* inner = made_by(node.operands[k], "transpose");
    if (inner == nullptr) return;
    const auto& perm = std::get<std::vector<int64_t>>(inner->attributes.at("perm"));
    std::vector<int64_t> swap(perm.size());
    std::iota(swap.begin(), swap.end(), 0);
    std::swap(swap[swap.size() - 1], swap[swap.size() - 2]);
    if (perm != swap) return;
    // A stack of matrices against one matrix knows no flags.
    if (type(node.operands[0]).dims.size() != type(node.operands[1]).dims.size()) return;
    node.operands[k] = inner->operands[0];
    const bool transposed = std::get<bool>(node.attributes.at(flag));
    node.attributes = node.attributes.with(flag, !transposed);
  }

  // Arithmetic on constants, rounded as the kernels round it.
  void fold(Node& node) {
    if (node.operands.empty() || node.results.size() != 1 || !node.regions.empty()) return;
    const Type& result = type(node.results[0]);
    const std::optional<double> x = number(node.operands[0]);
    const std::optional<double> y = number(node.operands.back());
    if (!is_float(result.dtype) || !x || !y) return;
    double value = 0;
    if (node.op == "cast" || node.op == "reshape" || node.op == "broadcast" ||
        node.op == "transpose") {
      value = *x;
    } else if (node.op == "neg") {
      value = -*x;
    } else if (node.op == "add") {
      value = *x + *y;
    } else if (node.op == "sub") {
      value = *x - *y;
    } else if (node.op == "mul") {
      value = *x * *y;
    } else if (node.op == "div") {
      value = *x / *y;
    } else {
      return;
    }
    // For + - * / of two f32, rounding the f64 result gives the f32 result.
    if (result.dtype == DType::f32) value = static_cast<double>(static_cast<float>(value));
    node = {"constant", {}, node.results, {{"value", value}}, {}};
  }

  const Body body_;
  Graph& graph_;
  Names names_;
  std::vector<int> producer_;
  std::unordered_multimap<ValueId, size_t> dropouts_;  // nodes, by what they drop from
  Substitution same_;
};

}  // namespace

void simplify(Body body) { Simplifier(body).run(); }

}  // namespace slim
