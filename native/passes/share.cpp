// Computes once what is computed twice.
//
//   %a = exp(%x)              %a = exp(%x)
//   %b = exp(%x)         =>   %c = add(%a, %a)
//   %c = add(%a, %b)
#include <bit>
#include <string_view>
#include <unordered_map>

#include "ir/ops.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace slim {
namespace {

// Bits: 0.0 is not -0.0, and nan is nan.
uint64_t bits(double value) { return std::bit_cast<uint64_t>(value); }

bool identical(const Attribute& a, const Attribute& b) {
  if (const double* x = std::get_if<double>(&a)) {
    const double* y = std::get_if<double>(&b);
    return y != nullptr && bits(*x) == bits(*y);
  }
  if (const auto* x = std::get_if<std::vector<double>>(&a)) {
    const auto* y = std::get_if<std::vector<double>>(&b);
    return y != nullptr && std::equal(x->begin(), x->end(), y->begin(), y->end(),
                                      [](double p, double q) { return bits(p) == bits(q); });
  }
  return a == b;
}

bool identical(const Attributes& a, const Attributes& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && identical(x.second, y.second);
  });
}

struct Hasher {
  size_t operator()(int64_t value) const { return static_cast<size_t>(value); }
  size_t operator()(double value) const { return bits(value); }
  size_t operator()(bool value) const { return value; }
  size_t operator()(const std::string& text) const { return std::hash<std::string>()(text); }
  template <class T>
  size_t operator()(const std::vector<T>& list) const {
    size_t hash = list.size();
    for (const T& item : list) hash = 31 * hash + (*this)(item);
    return hash;
  }
};

class Sharer {
 public:
  explicit Sharer(Body body) : body_(body), graph_(body.graph) {}

  void run() {
    std::unordered_multimap<size_t, const Node*> known;
    Substitution same;
    for (Node& node : graph_.nodes) {
      for (ValueId& id : node.operands) id = same.of(id);
      if (op_row(node).has(kRandom) || !node.regions.empty()) continue;
      const size_t hash = hash_of(node);
      const Node* twin = nullptr;
      const auto [first, last] = known.equal_range(hash);
      for (auto at = first; at != last && twin == nullptr; ++at) {
        if (alike(*at->second, node)) twin = at->second;
      }
      if (twin == nullptr) {
        known.emplace(hash, &node);
        continue;
      }
      for (size_t i = 0; i < node.results.size(); ++i) same.put(node.results[i], twin->results[i]);
    }
    same.apply(body_);
    prune(body_);
  }

 private:
  static size_t hash_of(const Node& node) {
    size_t hash = std::hash<std::string_view>()(node.op);
    const auto add = [&](size_t more) { hash = (hash ^ more) * 0x9E3779B97F4A7C15u; };
    for (ValueId id : node.operands) add(static_cast<size_t>(id));
    for (const auto& [name, value] : node.attributes) add(std::visit(Hasher(), value));
    return hash;
  }

  bool alike(const Node& a, const Node& b) const {
    return a.op == b.op && a.operands == b.operands && identical(a.attributes, b.attributes) &&
           std::equal(a.results.begin(), a.results.end(), b.results.begin(), b.results.end(),
                      [&](ValueId x, ValueId y) {
                        return graph_.values[x].type == graph_.values[y].type;
                      });
  }

  const Body body_;
  Graph& graph_;
};

}  // namespace

void share(Body body) { Sharer(body).run(); }

}  // namespace slim
