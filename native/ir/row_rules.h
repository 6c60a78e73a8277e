// How each op carries the dependence on the rows of the batch, and the questions it answers.
#pragma once

#include <string>
#include <vector>

#include "ir/ops.h"

namespace slim {

using RowRule = Rows(const NodeView& view, const std::vector<Rows>& operands,
                     const std::string& symbol);

#define OP(name, least, most, results, regions, attributes, traits, type_rule, row_rule) \
  RowRule row_rule;
#include "ir/ops.def"
#undef OP

// How each value of a graph depends on the rows, whose parameters do as the first ones say.
std::vector<Rows> rows_of_values(const Graph& graph, std::vector<Rows> rows,
                                 const std::string& symbol);

// Whether a type is so many rows of something, and mentions them nowhere else.
bool leads_with_rows(const Type& type, const std::string& symbol);

// How each result of the function depends on the rows.
std::vector<Rows> rows_of_returns(const Function& function, const std::string& symbol = "B");

// False when the function may run in chunks of rows: every result is local (chunks are
// concatenated) or a sum over the rows (chunks are added).
bool mixes_rows(const Function& function, const std::string& symbol = "B");

// Refuses, by op and value, an update that mixes the elements of a parameter: it runs over
// blocks of them. `symbol` counts the elements.
void refuse_mixed_elements(const Function& update, size_t declarations, const std::string& symbol);

// Refuses, by name, a return of `measure` that is no sum over the elements of a parameter.
void refuse_other_than_sums(const Function& measure, size_t declarations,
                            const std::string& symbol);

// True when every dim mentions the symbol only as a leading c*symbol and no other symbol is
// there, so that one plan serves any number of rows up to its capacity. (Sparse values have as
// many stored elements as the data gives them, so any dim will do.)
bool is_row_plan(const Function& function, const std::string& symbol = "B");

}  // namespace slim
