// Numbers as integers of a type, whatever they are.
#pragma once

#include <limits>

namespace slim {

// Cut towards zero; what lies beyond the type is the nearest it has, and NaN is the least.
template <class To, class From>
inline To whole_number(From value) {
  const double wide = static_cast<double>(value);
  // The largest may not be a double: the one above it then is.
  if (wide >= static_cast<double>(std::numeric_limits<To>::max())) {
    return std::numeric_limits<To>::max();
  }
  if (!(wide > static_cast<double>(std::numeric_limits<To>::min()))) {
    return std::numeric_limits<To>::min();
  }
  return static_cast<To>(wide);
}

}  // namespace slim
