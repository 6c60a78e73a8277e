// The types column of ir/elementwise.def for those who instantiate its formulas.
#pragma once

#include <type_traits>

namespace slim {

struct RowTypes {
  enum Types : unsigned { F = 1, N = 2, B = 4, NB = N | B };

  template <class T>
  static constexpr bool in(unsigned types) {
    if constexpr (std::is_same_v<T, bool>) return (types & B) != 0;
    if constexpr (std::is_floating_point_v<T>) return (types & (F | N)) != 0;
    return (types & N) != 0 && sizeof(T) >= 4;
  }
};

}  // namespace slim
