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

// All forms of operands in one space must agree on one split.
class Split {
 public:
  bool admits(const Form& form) const;
  void add(const Form& form);
  bool agrees(const Split& other) const;
  void add(const Split& other);

 private:
  bool known_ = false;
  size_t split_ = 0;
};

}  // namespace slim
