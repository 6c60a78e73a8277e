// How an operand lies in the iteration space of an elementwise node.
#pragma once

#include <cstddef>
#include <vector>

#include "ir/graph.h"

namespace slim {

// The space is [m,n]: m the axes before `split`, n those from it on. Axes of size 1 do not
// count, so that [B,1] is a column of [B,n] and the same as [B,1].
struct Form {
  enum Kind {
    same,    // [m,n]
    scalar,  // one element
    row,     // [n], or 1s and then n
    column,  // [m], then 1s
    other,   // anything else: needs an explicit broadcast
  } kind;
  size_t split = 0;  // of row and column: axes of the space (without 1s) that make up m
};

Form form_of(const Type& operand, const std::vector<Dim>& space);

// Rows of operands in one space are all of one split, columns of that or of earlier ones: an
// element of an earlier one serves several rows in a row.
//
//   [B,56,56,64] with [64] and [B,1,1,1]: m = B*56*56, n = 64; each element of the column
//   serves 56*56 rows
class Split {
 public:
  bool admits(const Form& form) const;
  void add(const Form& form);
  bool agrees(const Split& other) const;
  void add(const Split& other);

 private:
  static constexpr size_t kNone = ~size_t{0};

  size_t row_ = kNone;  // of the rows
  size_t column_ = 0;   // the latest of the columns
};

}  // namespace slim
