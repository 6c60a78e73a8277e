// sin and cos of vectors; what math.h says of its functions holds here too.
#pragma once

#include <initializer_list>

#include "kernels/formulas/math.h"

namespace slim::SLIM_ISA_NAMESPACE {

// The kernels on |r| <= π/4 of f64, and π/2 in pieces of 33 bits, are those of FreeBSD's msun
// (k_sin.c, k_cos.c, e_rem_pio2.c); those of f32 are Cephes' (sinf.c).
template <class T>
struct CircularConstants;

template <>
struct CircularConstants<float> {
  static constexpr float kSin[] = {-1.6666654611e-1f, 8.3321608736e-3f, -1.9515295891e-4f};
  static constexpr float kCos[] = {4.166664568298827e-2f, -1.388731625493765e-3f,
                                   2.443315711809948e-5f};
};

template <>
struct CircularConstants<double> {
  static constexpr double kSin[] = {-1.66666666666666324348e-01, 8.33333333332248946124e-03,
                                    -1.98412698298579493134e-04, 2.75573137070700676789e-06,
                                    -2.50507602534068634195e-08, 1.58969099521155010221e-10};
  static constexpr double kCos[] = {4.16666666666666019037e-02, -1.38888888888741095749e-03,
                                    2.48015872894767294178e-05, -2.75573143513906633035e-07,
                                    2.08757232129817482790e-09, -1.13596475577881948265e-11};
};

// Quarter turns n are counted exactly up to this angle. Beyond, libm.
template <class T>
inline constexpr T kMostAngle = T(1.5e6);  // n < 2^20: n·(33 bits) fits f64
template <>
inline constexpr float kMostAngle<float> = 8192;  // n < 2^13: n·(11 bits) fits f32

// π/2 in pieces: of f32 the first three of 8 to 11 bits.
inline constexpr float kHalfPiPieces[] = {0x1.92p+0f, 0x1.fb4p-12f, 0x1.444p-24f, 0x1.68c234p-39f};
inline constexpr double kHalfPi1 = 1.57079632673412561417e+00;
inline constexpr double kHalfPi2 = 6.07710050630396597660e-11;
inline constexpr double kHalfPi3 = 2.02226624871116645580e-21;
inline constexpr double kHalfPi3Rest = 8.47842766036889956997e-32;

// x = n·π/2 + r + low, |r| <= π/4
template <class V>
struct Angle {
  V r, low;
  Mask<V> quarters;  // n, exact in its last two bits
};

// n as a number, and its bits under those of kRound.
template <class V>
SLIM_INLINE V quarters_of(V x, Mask<V>* bits) {
  constexpr auto kRound = ConstantsOf<V>::kRound;
  const V shifted = x * Lane<V>(6.36619772367581382433e-01) + kRound;
  *bits = bits_as<Mask<V>>(shifted);
  return shifted - kRound;
}

// Exact, with or without fma, up to the third piece, whose rounding is that of r itself.
SLIM_INLINE Angle<F32> reduce_angle(F32 x) {
  Mask<F32> bits;
  const F32 n = quarters_of(x, &bits);
  F32 r = x;
  for (const float piece : kHalfPiPieces) r = fma(-n, broadcast<F32>(piece), r);
  return {r, F32{}, bits};
}

SLIM_INLINE Angle<F64> reduce_angle(F64 x) {
  Mask<F64> bits;
  const F64 n = quarters_of(x, &bits);
  // Each difference with what its rounding lost: the angle may lie next to a multiple of π/2.
  F64 r = x - n * kHalfPi1;  // exact
  F64 low{};
  for (const double piece : {kHalfPi2, kHalfPi3}) {
    const F64 part = n * piece, before = r;
    r = before - part;
    const F64 taken = before - r;
    low += (before - (r + taken)) + (taken - part);
  }
  low -= n * kHalfPi3Rest;
  const F64 sum = r + low;
  return {sum, (r - sum) + low, bits};
}

template <class V>
SLIM_INLINE V sin_part(const Angle<V>& angle) {
  using C = CircularConstants<Lane<V>>;
  const V z = angle.r * angle.r, v = z * angle.r;
  if constexpr (sizeof(Lane<V>) == 4) return fma(v, polynomial(z, C::kSin), angle.r);
  V rest = broadcast<V>(C::kSin[5]);
  for (int i = 4; i > 0; --i) rest = fma(rest, z, broadcast<V>(C::kSin[i]));
  return angle.r - ((z * (0.5 * angle.low - v * rest) - angle.low) - v * C::kSin[0]);
}

template <class V>
SLIM_INLINE V cos_part(const Angle<V>& angle) {
  using C = CircularConstants<Lane<V>>;
  const V z = angle.r * angle.r, half = Lane<V>(0.5) * z;
  const V one = Lane<V>(1) - half;
  const V rest = z * (z * polynomial(z, C::kCos)) - angle.r * angle.low;
  return one + (((Lane<V>(1) - one) - half) + rest);
}

// sin(x + turn·π/2)
template <class V, class Scalar>
SLIM_INLINE V circular(V x, int turn, Scalar scalar) {
  using M = Mask<V>;
  constexpr int kToSign = sizeof(Lane<V>) * 8 - 2;
  const Angle<V> angle = reduce_angle(x);
  const M quarters = angle.quarters + static_cast<Lane<M>>(turn);
  V result = select((quarters & 1) != 0, cos_part(angle), sin_part(angle));
  result = bits_as<V>(bits_as<M>(result) ^ ((quarters & 2) << kToSign));
  return each_lane_where(~(absolute(x) <= kMostAngle<Lane<V>>), x, result, scalar);
}

// <= 2.4 ulp, of any x; of infinities NaN
template <class V>
SLIM_INLINE V sin(V x) {
  const V result = circular(x, 0, [](auto lane) { return libm::sin(lane); });
  return select(x == V{}, x, result);  // -0 stays
}

template <class V>
SLIM_INLINE V cos(V x) {
  return circular(x, 1, [](auto lane) { return libm::cos(lane); });
}

}  // namespace slim::SLIM_ISA_NAMESPACE
