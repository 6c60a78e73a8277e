// Numbers rounded to those that bfloat16 and float16 have; what math.h says of its functions
// holds here too.
#pragma once

#include <limits>

#include "kernels/formulas/math.h"

namespace slim::SLIM_ISA_NAMESPACE {

struct Bfloat16 {
  static constexpr int kMantissa = 7;
  static constexpr double kMost = 0x1.fep127;     // the largest finite number
  static constexpr double kNormal = 0x1p-126;     // the smallest normal number
  static constexpr double kSubnormal = 0x1p-133;  // the step below it
};

struct Float16 {
  static constexpr int kMantissa = 10;
  static constexpr double kMost = 65504;
  static constexpr double kNormal = 0x1p-14;
  static constexpr double kSubnormal = 0x1p-24;
};

// The nearest number of the format, of two the one whose last bit is zero; beyond the largest by
// half a step or more ±inf, below half the least step ±0.
template <class Format, class V>
SLIM_INLINE V round_to_format(V x) {
  using C = ConstantsOf<V>;
  using M = Mask<V>;
  using T = Lane<V>;
  constexpr int kDropped = C::kMantissa - Format::kMantissa;
  constexpr Lane<M> kHalf = (Lane<M>(1) << (kDropped - 1)) - 1;
  constexpr Lane<M> kRest = (Lane<M>(1) << kDropped) - 1;
  const V number = select(x != x, V{}, x);  // the sum of a NaN's bits has no place
  const M bits = bits_as<M>(number);
  V result = bits_as<V>((bits + (((bits >> kDropped) & Lane<M>(1)) + kHalf)) & ~kRest);
  const V size = absolute(number);
  // A format with the exponents of T overflows to the bits of inf, and its steps below the
  // normal numbers are those of T.
  if constexpr (Format::kNormal > static_cast<double>(std::numeric_limits<T>::min())) {
    const T step =
        static_cast<T>(Format::kSubnormal * static_cast<double>(Lane<M>(1) << C::kMantissa));
    result =
        select(size < static_cast<T>(Format::kNormal), with_sign((size + step) - step, x), result);
    const V infinite = with_sign(broadcast<V>(std::numeric_limits<T>::infinity()), x);
    result = select(absolute(result) > static_cast<T>(Format::kMost), infinite, result);
  }
  return select(x != x, x, result);
}

template <class V>
SLIM_INLINE V round_bfloat16(V x) {
  return round_to_format<Bfloat16>(x);
}

template <class V>
SLIM_INLINE V round_float16(V x) {
  return round_to_format<Float16>(x);
}

}  // namespace slim::SLIM_ISA_NAMESPACE
