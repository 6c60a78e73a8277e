// Row dependence: what may run in chunks, and what one plan can serve for any row count.
#include "ir/row_rules.h"

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "ir/loop.h"

namespace slim {
namespace {

bool any(const std::vector<Rows>& rows, Rows which) {
  return std::find(rows.begin(), rows.end(), which) != rows.end();
}

// The type mentions the symbol only as a leading c*symbol.
bool leads(const Type& type, const std::string& symbol) {
  for (size_t i = 0; i < type.dims.size(); ++i) {
    if (type.dims[i].mentions(symbol) && (i > 0 || !type.dims[i].multiple_of(symbol))) return false;
  }
  return true;
}

bool mentions(const Type& type, const std::string& symbol) {
  return std::any_of(type.dims.begin(), type.dims.end(),
                     [&](const Dim& dim) { return dim.mentions(symbol); });
}

// Rows of the results when the op itself mixes none.
Rows carried(const NodeView& v, const std::vector<Rows>& operands, const std::string& symbol) {
  if (any(operands, Rows::mixed) || any(operands, Rows::sum)) return Rows::mixed;
  bool rows = any(operands, Rows::local);
  for (size_t i = 0; i < v.node.results.size(); ++i) {
    if (!leads(v.result(i), symbol)) return Rows::mixed;
    if (mentions(v.result(i), symbol)) {
      rows = true;
    } else if (any(operands, Rows::local)) {
      return Rows::mixed;
    }
  }
  return rows ? Rows::local : Rows::none;
}

// How a region's yields depend on the rows, whose parameters are the operands from `first` on.
std::vector<Rows> yield_rows(const Graph& region, const std::vector<Rows>& operands, size_t first,
                             const std::string& symbol) {
  std::vector<Rows> parameters(region.values.size(), Rows::none);
  for (size_t i = 0; i < region.parameters.size(); ++i) {
    parameters[region.parameters[i]] = operands[first + i];
  }
  const std::vector<Rows> inside = rows_of_values(region, parameters, symbol);
  std::vector<Rows> yields;
  for (ValueId id : region.returns) yields.push_back(inside[id]);
  return yields;
}

// The one state of all results, of which each has its own.
Rows together(const NodeView& v, const std::vector<Rows>& yields, const std::string& symbol) {
  if (yields.size() == 1) return yields[0];
  return any(yields, Rows::sum) ? Rows::mixed : carried(v, yields, symbol);
}

bool fits_row_plan(const Graph& graph, const std::string& symbol) {
  const auto fits = [&](const Dim& dim) { return dim.constant() || dim.multiple_of(symbol); };
  for (const Node& node : graph.nodes) {
    const NodeView view{graph, node};
    for (size_t i = 0; i < node.results.size(); ++i) {
      const std::vector<Dim>& dims = view.result(i).dims;
      if (!is_dense(view.result(i))) continue;
      if (!leads(view.result(i), symbol)) return false;
      if (!std::all_of(dims.begin(), dims.end(), fits)) return false;
    }
    // Bounds along the rows are checked against the real number of rows only.
    if (node.op == "slice" && view.integer("axis") == 0 && mentions(view.operand(0), symbol)) {
      return false;
    }
    if (node.op == "extent" &&
        !fits(Dim::parse(std::get<std::string>(node.attributes.at("dim"))))) {
      return false;
    }
    if (node.op == "scan" && LoopForm(view).length.mentions(symbol)) return false;
    for (const Graph& region : node.regions) {
      if (!fits_row_plan(region, symbol)) return false;
    }
  }
  return true;
}

}  // namespace

std::vector<Rows> rows_of_values(const Graph& graph, std::vector<Rows> rows,
                                 const std::string& symbol) {
  rows.resize(graph.values.size(), Rows::none);
  for (const Node& node : graph.nodes) {
    std::vector<Rows> operands;
    for (ValueId id : node.operands) operands.push_back(rows[id]);
    const Rows state = op_row(node).rows({graph, node}, operands, symbol);
    for (ValueId id : node.results) rows[id] = state;
  }
  return rows;
}

bool leads_with_rows(const Type& type, const std::string& symbol) {
  return mentions(type, symbol) && leads(type, symbol);
}

Rows rows_wise(const NodeView& v, const std::vector<Rows>& operands, const std::string& symbol) {
  return carried(v, operands, symbol);
}

Rows rows_copy(const NodeView& v, const std::vector<Rows>& operands, const std::string& symbol) {
  return operands[0] == Rows::sum ? Rows::sum : carried(v, operands, symbol);
}

Rows rows_first(const NodeView&, const std::vector<Rows>& operands, const std::string&) {
  return operands[0];
}

Rows rows_extent(const NodeView& v, const std::vector<Rows>&, const std::string& symbol) {
  const Dim dim = Dim::parse(std::get<std::string>(v.node.attributes.at("dim")));
  if (dim.multiple_of(symbol)) return Rows::sum;  // a count of rows adds up over chunks
  return dim.mentions(symbol) ? Rows::mixed : Rows::none;
}

Rows rows_iota(const NodeView& v, const std::vector<Rows>&, const std::string& symbol) {
  return mentions(v.result(0), symbol) ? Rows::mixed : Rows::none;
}

Rows rows_matmul(const NodeView& v, const std::vector<Rows>& operands, const std::string& symbol) {
  const bool batched =
      v.operand(0).dims.size() == v.operand(1).dims.size() && v.operand(0).dims.size() > 2;
  const bool mixes =
      (operands[0] == Rows::local && v.flag("transpose_a")) || operands[1] == Rows::local;
  if (mixes && !batched) return Rows::mixed;
  return carried(v, operands, symbol);
}

Rows rows_reduce(const NodeView& v, const std::vector<Rows>& operands, const std::string& symbol) {
  const std::vector<int64_t>& axes = v.integers("axes");
  const bool over_rows = !axes.empty() && axes[0] == 0;
  if (operands[0] == Rows::local && over_rows) return Rows::mixed;
  return carried(v, operands, symbol);
}

Rows rows_sum(const NodeView& v, const std::vector<Rows>& operands, const std::string& symbol) {
  const std::vector<int64_t>& axes = v.integers("axes");
  const bool over_rows = !axes.empty() && axes[0] == 0;
  if (operands[0] == Rows::local && over_rows) return Rows::sum;
  return carried(v, operands, symbol);
}

Rows rows_argmax(const NodeView& v, const std::vector<Rows>& operands, const std::string& symbol) {
  if (operands[0] == Rows::local && v.integer("axis") == 0) return Rows::mixed;
  return carried(v, operands, symbol);
}

Rows rows_last_axis(const NodeView& v, const std::vector<Rows>& operands,
                    const std::string& symbol) {
  if (operands[0] == Rows::local && v.operand(0).dims.size() < 2) return Rows::mixed;
  return carried(v, operands, symbol);
}

Rows rows_transpose(const NodeView& v, const std::vector<Rows>& operands,
                    const std::string& symbol) {
  const std::vector<int64_t>& perm = v.integers("perm");
  if (operands[0] == Rows::local && perm[0] != 0) return Rows::mixed;
  return carried(v, operands, symbol);
}

Rows rows_axis(const NodeView& v, const std::vector<Rows>& operands, const std::string& symbol) {
  if (any(operands, Rows::local) && v.integer("axis") == 0) return Rows::mixed;
  return carried(v, operands, symbol);
}

Rows rows_gather(const NodeView& v, const std::vector<Rows>& operands, const std::string& symbol) {
  return operands[0] == Rows::local ? Rows::mixed : carried(v, operands, symbol);
}

Rows rows_left(const NodeView& v, const std::vector<Rows>& operands, const std::string& symbol) {
  return operands[1] == Rows::local ? Rows::mixed : carried(v, operands, symbol);
}

Rows rows_whole(const NodeView& v, const std::vector<Rows>& operands, const std::string& symbol) {
  return any(operands, Rows::local) ? Rows::mixed : carried(v, operands, symbol);
}

Rows rows_custom(const NodeView& v, const std::vector<Rows>& operands, const std::string& symbol) {
  return v.flag("by_row") ? carried(v, operands, symbol) : rows_whole(v, operands, symbol);
}

Rows rows_fused(const NodeView& v, const std::vector<Rows>& operands, const std::string& symbol) {
  return together(v, yield_rows(v.node.regions[0], operands, 0, symbol), symbol);
}

Rows rows_cond(const NodeView& v, const std::vector<Rows>& operands, const std::string& symbol) {
  if (operands[0] != Rows::none) return Rows::mixed;  // chunks would choose for themselves
  std::vector<Rows> yields = yield_rows(v.node.regions[0], operands, 1, symbol);
  const std::vector<Rows> others = yield_rows(v.node.regions[1], operands, 1, symbol);
  for (size_t i = 0; i < yields.size(); ++i) {
    if (yields[i] != others[i]) yields[i] = Rows::mixed;
  }
  return together(v, yields, symbol);
}

namespace {

// The carried values as they are after any number of steps: what a step makes of them.
std::vector<Rows> settled_yields(const LoopForm& form, const Graph& body, std::vector<Rows> inside,
                                 std::vector<Rows>& carried, const std::string& symbol) {
  for (;;) {
    std::copy(carried.begin(), carried.end(), inside.begin());
    std::vector<Rows> yields = yield_rows(body, inside, 0, symbol);
    bool same = true;
    for (size_t i = 0; i < form.carried; ++i) {
      if (yields[i] == carried[i] || yields[i] == Rows::none) continue;
      if (carried[i] == Rows::mixed) continue;
      carried[i] = carried[i] == Rows::none && yields[i] != Rows::sum ? yields[i] : Rows::mixed;
      same = false;
    }
    if (!same) continue;
    std::copy(carried.begin(), carried.end(), yields.begin());
    return yields;
  }
}

}  // namespace

Rows rows_scan(const NodeView& v, const std::vector<Rows>& operands, const std::string& symbol) {
  const LoopForm form(v);
  if (form.length.mentions(symbol)) return Rows::mixed;
  if (form.counted && operands[0] != Rows::none) return Rows::mixed;
  for (size_t i = 0; i < form.scanned; ++i) {
    const bool across = form.scanned_axis(i) == 0;
    if (across && operands[form.first_scanned() + i] != Rows::none) return Rows::mixed;
  }
  const std::vector<Rows> inside(operands.begin() + static_cast<int64_t>(form.first_carried()),
                                 operands.end());
  std::vector<Rows> carried(inside.begin(), inside.begin() + static_cast<int64_t>(form.carried));
  std::vector<Rows> yields = settled_yields(form, form.body(v.node), inside, carried, symbol);
  for (size_t i = 0; i < form.stacked; ++i) {
    Rows& stacked = yields[form.carried + i];
    if (form.stacked_axis(i) == 0 && stacked == Rows::local) stacked = Rows::mixed;
  }
  return together(v, yields, symbol);
}

Rows rows_while_loop(const NodeView& v, const std::vector<Rows>& operands,
                     const std::string& symbol) {
  const LoopForm form(v);
  std::vector<Rows> carried(operands.begin(),
                            operands.begin() + static_cast<int64_t>(form.carried));
  const std::vector<Rows> yields =
      settled_yields(form, form.body(v.node), operands, carried, symbol);
  std::vector<Rows> inside = operands;
  std::copy(carried.begin(), carried.end(), inside.begin());
  // Chunks would decide for themselves how many steps they take.
  if (yield_rows(v.node.regions[0], inside, 0, symbol)[0] != Rows::none) return Rows::mixed;
  Rows all = Rows::none;
  for (const Rows rows : yields) {
    if (rows == Rows::none) continue;
    if (rows != Rows::local || form.stacked > 0) return Rows::mixed;
    all = Rows::local;
  }
  if (all == Rows::none) return all;
  for (size_t i = 0; i < form.carried; ++i) {
    if (!leads(v.result(i), symbol) || !mentions(v.result(i), symbol)) return Rows::mixed;
  }
  return all;
}

std::vector<Rows> rows_of_returns(const Function& function, const std::string& symbol) {
  const std::vector<Rows> rows = rows_of_values(function.graph, {}, symbol);
  std::vector<Rows> returns;
  for (ValueId id : function.graph.returns) returns.push_back(rows[id]);
  return returns;
}

namespace {
// Of a function over parameters, whose slots are as long as they are.
std::vector<Rows> element_rows(const Graph& graph, size_t declarations, const std::string& symbol) {
  std::vector<Rows> rows(graph.values.size(), Rows::none);
  for (size_t i = 0; i < declarations; ++i) {
    if (mentions(graph.values[i].type, symbol)) rows[i] = Rows::local;
  }
  return rows_of_values(graph, std::move(rows), symbol);
}
}  // namespace

void refuse_other_than_sums(const Function& measure, size_t declarations,
                            const std::string& symbol) {
  const std::vector<Rows> rows = element_rows(measure.graph, declarations, symbol);
  for (const ValueId id : measure.graph.returns) {
    const Value& value = measure.graph.values[id];
    if (rows[id] == Rows::sum && value.type == Type{DType::f64, {}}) continue;
    throw std::invalid_argument("[measure " + value.name + "] is " + to_string(value.type) +
                                ": measure returns sums over a parameter's elements, f64[]");
  }
}

void refuse_mixed_elements(const Function& update, size_t declarations, const std::string& symbol) {
  const Graph& graph = update.graph;
  const std::vector<Rows> rows = element_rows(graph, declarations, symbol);
  walk(graph, [](const Graph& inner, const Node& node) {
    if (!op_row(node).has(kRandom)) return;
    NodeView{inner, node}.refuse(
        "update may not draw random numbers: it runs over blocks of a parameter");
  });
  for (const Node& node : graph.nodes) {
    const NodeView view{graph, node};
    for (const ValueId id : node.results) {
      if (rows[id] == Rows::none || rows[id] == Rows::local) continue;
      view.refuse("mixes the elements of a parameter, or counts them: update runs over blocks of " +
                  std::string("them, each on its own"));
    }
  }
}

bool mixes_rows(const Function& function, const std::string& symbol) {
  const std::vector<Rows> rows = rows_of_returns(function, symbol);
  return std::any_of(rows.begin(), rows.end(),
                     [](Rows r) { return r != Rows::local && r != Rows::sum; });
}

bool is_row_plan(const Function& function, const std::string& symbol) {
  return fits_row_plan(function.graph, symbol);
}

}  // namespace slim
