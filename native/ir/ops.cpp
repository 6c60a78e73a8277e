// The table of ops, made from elementwise.def and ops.def.
#include "ir/ops.h"

#include <stdexcept>
#include <unordered_map>

#include "ir/row_rules.h"
#include "ir/type_rules.h"

namespace slim {

void NodeView::refuse(const std::string& text) const {
  const std::string name = node.results.empty() ? "" : ' ' + graph.values[node.results[0]].name;
  throw std::invalid_argument('[' + node.op + name + "] " + text);
}

const std::vector<OpRow>& all_ops() {
  constexpr bool same = false, boolean = true;
  constexpr DTypes F = kFloats, N = kNumbers, B = kBools, NB = N | B;
  static const auto& rows = *new std::vector<OpRow>{
  // never ends: a thread may outlive it at exit
#define ELEMENTWISE(name, operands, accepts, result, type_rule, row_rule) \
  {#name, operands, operands, 1, 0, "", kElementwise, accepts, result, type_rule, row_rule},
#define FORMULA(name, operands, types, result, cost) \
  ELEMENTWISE(name, operands, types, result, type_elementwise, rows_wise)
#define COPY(name) ELEMENTWISE(name, 1, kAll, same, type_elementwise, rows_wise)
#define SPECIAL(name, operands, type_rule, row_rule) \
  ELEMENTWISE(name, operands, kAll, same, type_rule, row_rule)
#include "ir/elementwise.def"
#undef ELEMENTWISE
#define OP(name, least, most, results, regions, attributes, traits, type_rule, row_rule) \
  {#name, least, most, results, regions, attributes, traits, kAll, same, type_rule, row_rule},
#include "ir/ops.def"
#undef OP
  };
  return rows;
}

const OpRow* find_op(const std::string& name) {
  static const auto& table = *[] {
    auto* made = new std::unordered_map<std::string, const OpRow*>;
    for (const OpRow& row : all_ops()) (*made)[row.name] = &row;
    return made;
  }();
  const auto found = table.find(name);
  return found == table.end() ? nullptr : found->second;
}

const OpRow& op_row(const Node& node) {
  const OpRow* row = find_op(node.op);
  if (row == nullptr) throw std::invalid_argument("there is no op " + node.op);
  return *row;
}

std::optional<DType> rounded_to(const Node& node) {
  if (node.op == "round_bfloat16") return DType::bf16;
  if (node.op == "round_float16") return DType::f16;
  return std::nullopt;
}

}  // namespace slim
