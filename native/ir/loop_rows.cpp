// Whether the rows of a loop's values could each take its steps alone.
#include <algorithm>

#include "ir/loop.h"
#include "ir/row_rules.h"

namespace slim {

bool keeps_rows_apart(const NodeView& view, const std::string& symbol) {
  const LoopForm form(view);
  if (form.is_while) return false;  // of which all rows take as many steps
  const Graph& body = form.body(view.node);
  if (std::any_of(body.nodes.begin(), body.nodes.end(), runs_regions)) return false;
  std::vector<Rows> parameters(body.values.size(), Rows::none);
  for (size_t i = 0; i < body.parameters.size(); ++i) {
    const Type& type = body.values[static_cast<size_t>(body.parameters[i])].type;
    const bool read = i >= form.carried + form.scanned;
    const bool mentioned = std::any_of(type.dims.begin(), type.dims.end(),
                                       [&](const Dim& dim) { return dim.mentions(symbol); });
    if (read && !mentioned) continue;
    if (!leads_with_rows(type, symbol)) return false;
    parameters[static_cast<size_t>(body.parameters[i])] = Rows::local;
  }
  const std::vector<Rows> rows = rows_of_values(body, std::move(parameters), symbol);
  const auto are_rows = [&](const std::vector<ValueId>& ids) {
    return std::all_of(ids.begin(), ids.end(), [&](ValueId id) {
      return rows[static_cast<size_t>(id)] == Rows::local &&
             leads_with_rows(body.values[static_cast<size_t>(id)].type, symbol);
    });
  };
  // Also what lies between: of what belongs to no row, such as the tanh of a weight, those who take
  // rows would each make but a part.
  return are_rows(body.returns) &&
         std::all_of(body.nodes.begin(), body.nodes.end(), [&](const Node& node) {
           const OpRow& op = op_row(node);
           return op.has(kAlias) || op.has(kSource) || are_rows(node.results);
         });
}

}  // namespace slim
