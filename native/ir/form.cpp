// Reads the axes of an operand against those of the space.
#include "ir/form.h"

#include <algorithm>

namespace slim {

Form form_of(const Type& operand, const std::vector<Dim>& space) {
  const size_t rank = operand.dims.size();
  if (rank > space.size()) return {Form::other};
  size_t axes = 0, changes = 0, split = 0, full = 0;
  bool before = false;
  for (size_t i = 0; i < space.size(); ++i) {
    if (space[i].constant() == 1) continue;
    const size_t missing = space.size() - rank;
    const bool has = i >= missing && operand.dims[i - missing] == space[i];
    if (axes > 0 && has != before) {
      ++changes;
      split = axes;
    }
    before = has;
    full += has ? 1 : 0;
    ++axes;
  }
  if (full == axes) return {Form::same};
  if (full == 0) return {Form::scalar};
  if (changes > 1) return {Form::other};
  return {before ? Form::row : Form::column, split};
}

bool Split::admits(const Form& form) const {
  if (form.kind == Form::other) return false;
  Split one;
  one.add(form);
  return agrees(one);
}

void Split::add(const Form& form) {
  if (form.kind == Form::row) row_ = form.split;
  if (form.kind == Form::column) column_ = std::max(column_, form.split);
}

bool Split::agrees(const Split& other) const {
  if (row_ != kNone && other.row_ != kNone && row_ != other.row_) return false;
  return std::max(column_, other.column_) <= std::min(row_, other.row_);
}

void Split::add(const Split& other) {
  row_ = std::min(row_, other.row_);
  column_ = std::max(column_, other.column_);
}

}  // namespace slim
