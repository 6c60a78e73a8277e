// Recognizes what a register tile can do itself in the region of a product: a norm's row by row
// (sub, mul, add), mul(acc, number), add(acc, whole), relu, minimum(acc, number); or
// relu_grad(acc, whole).
#include "cpu/gemm/epilogue.h"

#include <cmath>
#include <map>

#include "ir/ops.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

// What each node adds to the finish, as long as it comes in the finish's order.
class Finder {
 public:
  explicit Finder(const Binding& binding)
      : binding_(binding), region_(binding.node.regions[0]), value_(region_.parameters[0]) {}

  std::optional<Epilogue> find() {
    if (region_.returns.size() != 1) return std::nullopt;
    for (const Node& node : region_.nodes) {
      if (node.op == "constant") {
        if (const double* number = std::get_if<double>(&node.attributes.at("value"))) {
          numbers_[node.results[0]] = *number;
        }
        continue;
      }
      if (!take(node)) return std::nullopt;
      value_ = node.results[0];
    }
    if (stage_ == Stage::sums || region_.returns[0] != value_) return std::nullopt;
    return found_;
  }

 private:
  enum class Stage : uint8_t { sums, shift, scale, bias, added, relu, cap, mask };

  bool take(const Node& node) {
    const std::string& op = node.op;
    if (op == "relu") return found_.relu = next(Stage::relu);
    if (node.operands.size() != 2) return false;
    const bool first = node.operands[0] == value_, second = node.operands[1] == value_;
    if (first == second || (second && (op == "sub" || op == "relu_grad"))) return false;
    const ValueId other = node.operands[first ? 1 : 0];
    const auto number = numbers_.find(other);
    if (op == "mul" && number != numbers_.end()) {
      found_.factor = number->second;
      return next(Stage::scale);
    }
    if (op == "minimum") {
      if (!first || number == numbers_.end()) return false;
      const double cap = number->second;
      // One instruction does it, but not where two signs of zero or NaN decide.
      if (std::isnan(cap) || static_cast<float>(cap) == 0 || !next(Stage::cap)) return false;
      found_.cap = cap;
      return true;
    }
    const int operand = operand_of(other);
    if (operand < 0) return false;
    const Buffer& buffer = binding_.operands[static_cast<size_t>(operand)];
    const auto put = [&](Stage stage, int& into) {
      if (!next(stage)) return false;
      into = operand;
      return true;
    };
    if (is_row(buffer)) {
      if (op == "sub") return put(Stage::shift, found_.shift);
      if (op == "mul") return put(Stage::scale, found_.scale);
      return op == "add" && put(Stage::bias, found_.bias);
    }
    if (!is_whole(buffer)) return false;
    if (op == "add") return put(Stage::added, found_.added);
    return op == "relu_grad" && stage_ == Stage::sums && put(Stage::mask, found_.mask);
  }

  bool next(Stage stage) {
    if (stage_ >= stage) return false;
    stage_ = stage;
    return true;
  }

  // The region's parameters behind its first are the operands behind the product's own.
  int operand_of(ValueId id) const {
    const auto own = static_cast<int>(op_row(binding_.node).least_operands);
    for (size_t i = 1; i < region_.parameters.size(); ++i) {
      if (region_.parameters[i] == id) return static_cast<int>(i) - 1 + own;
    }
    return -1;
  }

  const Buffer& c() const { return binding_.results[0]; }
  // A row over C's last axis.
  bool is_row(const Buffer& buffer) const {
    if (buffer.per_row > 0 || buffer.dims.empty() || buffer.dtype != c().dtype) return false;
    for (size_t i = 0; i + 1 < buffer.dims.size(); ++i) {
      if (buffer.dims[i] != 1) return false;
    }
    return buffer.dims.back() == c().dims.back();
  }
  bool is_whole(const Buffer& buffer) const {
    return buffer.dims == c().dims && buffer.per_row == c().per_row && buffer.dtype == c().dtype;
  }

  const Binding& binding_;
  const Graph& region_;
  ValueId value_;
  Stage stage_ = Stage::sums;
  std::map<ValueId, double> numbers_;
  Epilogue found_;
};

}  // namespace

Epilogue find_epilogue(const Binding& binding) {
  Epilogue none;
  if (binding.node.regions.empty()) return none;
  none.tape = true;
  return Finder(binding).find().value_or(none);
}

}  // namespace slim::SLIM_ISA_NAMESPACE
