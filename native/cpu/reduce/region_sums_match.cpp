// Reads regions as fuse_reduction builds them.
#include <algorithm>

#include "cpu/check.h"
#include "cpu/reduce/region_sums.h"
#include "ir/moments.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

class Matcher {
 public:
  explicit Matcher(const Binding& binding)
      : binding_(binding), region_(binding.node.regions[0]), nodes_(region_.nodes) {}

  std::optional<RegionSums> match() {
    if (nodes_.size() < 2 || !is_sum(nodes_.back()) || !fits()) return std::nullopt;
    return region_.returns.size() == 2 ? match_two() : match_one();
  }

 private:
  bool is_sum(const Node& node) const {
    return node.op == "reduce_sum" && !region_.values[node.results[0]].type.dims.empty();
  }

  // All operands are of one type.
  bool fits() const {
    const std::vector<Buffer>& operands = binding_.operands;
    return !operands.empty() && operands.size() <= 2 && is_float(operands[0]) &&
           std::all_of(operands.begin(), operands.end(), [&](const Buffer& buffer) {
             return buffer.dtype == operands[0].dtype && same_shape(buffer, operands[0]);
           });
  }

  std::optional<RegionSums> match_one() const {
    const Node &product = nodes_[0], &sum = nodes_.back();
    if (nodes_.size() != 2 || sum.operands != product.results || region_.returns != sum.results) {
      return std::nullopt;
    }
    if (product.operands != region_.parameters) return std::nullopt;
    if (product.op == "square") return made(RegionSums::squares, {0}, {0});
    if (product.op == "mul") return made(RegionSums::products, {0, 1}, {0});
    return std::nullopt;
  }

  // The sum of a, then what the other one is made of.
  std::optional<RegionSums> match_two() const {
    const Node &plain = nodes_.front(), &last = nodes_.back();
    if (nodes_.size() < 3 || !is_sum(plain) || plain.attributes != last.attributes) {
      return std::nullopt;
    }
    const std::vector<ValueId>& parameters = region_.parameters;
    const auto a = std::find(parameters.begin(), parameters.end(), plain.operands[0]);
    if (a == parameters.end()) return std::nullopt;
    if (region_.returns != std::vector<ValueId>{plain.results[0], last.results[0]}) {
      return std::nullopt;
    }
    const Node& product = nodes_[nodes_.size() - 2];
    if (last.operands != product.results) return std::nullopt;
    const size_t first = static_cast<size_t>(a - parameters.begin());
    if (product.op == "mul" && nodes_.size() == 3 && parameters.size() == 2 &&
        product.operands != std::vector<ValueId>{parameters[1], parameters[1]} &&
        std::is_permutation(parameters.begin(), parameters.end(), product.operands.begin())) {
      return made(RegionSums::with_products, {first, 1 - first}, {0, 1});
    }
    if (product.op != "square" || parameters.size() != 1) return std::nullopt;
    if (nodes_.size() == 3 && product.operands[0] == *a) {
      return made(RegionSums::with_squares, {first}, {0, 1});
    }
    if (nodes_.size() == 6 && is_around_mean(product)) {
      return made(RegionSums::moments, {first}, {0, 1});
    }
    return std::nullopt;
  }

  // square(a - sum(a) / count)
  bool is_around_mean(const Node& square) const {
    const Node &sum = nodes_[0], &count = nodes_[1], &mean = nodes_[2], &centered = nodes_[3];
    return mean.op == "div" && mean.operands == std::vector{sum.results[0], count.results[0]} &&
           centered.op == "sub" &&
           centered.operands == std::vector{sum.operands[0], mean.results[0]} &&
           square.operands == centered.results && counts_terms(region_, sum, count);
  }

  std::optional<RegionSums> made(RegionSums::Kind kind, std::vector<size_t> operands,
                                 std::vector<size_t> results) const {
    const Node& sum = nodes_.back();
    RegionSums made{kind, {sum.op, {}, {}, sum.attributes, {}}, {}, {}};
    for (size_t i : operands) {
      made.operands.push_back(binding_.operands[i]);
      made.sum.operands.push_back(binding_.node.operands[i]);
    }
    for (size_t i : results) {
      made.results.push_back(binding_.results[i]);
      made.sum.results.push_back(binding_.node.results[i]);
    }
    return made;
  }

  const Binding& binding_;
  const Graph& region_;
  const std::vector<Node>& nodes_;
};

}  // namespace

std::optional<RegionSums> read_region_sums(const Binding& binding) {
  return Matcher(binding).match();
}

}  // namespace slim::SLIM_ISA_NAMESPACE
