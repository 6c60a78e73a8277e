// Elementary functions of vectors, f32 and f64: every lane by the same steps, so that a
// value's bits do not depend on its place. Bounds in ulp stand at each function.
// Results below the smallest normal number may be zero; NaN in is NaN out.
// Written once for all who know vectors, which stand before this file: cpu/vec.h computes,
// kernels/trace/traced.h notes the steps, of which source is printed.
#pragma once

#include <cstddef>
#include <limits>

#ifndef SLIM_INLINE
#error "include vectors first: cpu/vec.h or kernels/trace/traced.h"
#endif

namespace slim::SLIM_ISA_NAMESPACE {

template <class T>
struct MathConstants;

// The exponential's polynomials are minimax fits of (e^r - 1 - r) / r² on |r| <= ln2/2; the
// logarithm's are those of FreeBSD's msun (e_log.c, e_logf.c). ln2_high has trailing zeros:
// n * ln2_high is exact.
template <>
struct MathConstants<float> {
  using Bits = int32_t;
  static constexpr int kMantissa = 23;
  static constexpr Bits kBias = 127;
  static constexpr float kRound = 12582912.0f;  // 1.5·2^23: adding it rounds to an integer
  static constexpr float kExpLow = -87.33654022f, kExpHigh = 88.72283173f;
  static constexpr float kExpm1Low = -18.0f;  // below: -1
  static constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  static constexpr float kExp[] = {0.5f, 0.16666576666f, 0.041666554213f, 0.0083632328337f,
                                   0.0013926250832f};
  static constexpr float kLogLn2High = 6.9313812256e-01f, kLogLn2Low = 9.0580006145e-06f;
  static constexpr Bits kSqrtHalf = 0x3f3504f3;
  static constexpr float kLog[] = {0.66666662693f, 0.40000972152f, 0.28498786688f, 0.24279078841f};
};

template <>
struct MathConstants<double> {
  using Bits = int64_t;
  static constexpr int kMantissa = 52;
  static constexpr Bits kBias = 1023;
  static constexpr double kRound = 6755399441055744.0;
  static constexpr double kExpLow = -708.3964185322641, kExpHigh = 709.782712893384;
  static constexpr double kExpm1Low = -38.0;
  static constexpr double kLn2High = 6.93145751953125e-1, kLn2Low = 1.42860682030941723212e-6;
  static constexpr double kExp[] = {0.5,
                                    0.1666666666666667103,
                                    0.041666666666666669783,
                                    0.0083333333333260831202,
                                    0.0013888888888883711167,
                                    0.00019841269875002278793,
                                    0.0000248015873256774619,
                                    2.7557255170000887438e-6,
                                    2.7557273478718580474e-7,
                                    2.5105312729622101787e-8,
                                    2.09147553258932022e-9};
  static constexpr double kLogLn2High = 6.93147180369123816490e-01;
  static constexpr double kLogLn2Low = 1.90821492927058770002e-10;
  static constexpr Bits kSqrtHalf = 0x3fe6a09e667f3bcd;
  static constexpr double kLog[] = {6.666666666666735130e-01, 3.999999999940941908e-01,
                                    2.857142874366239149e-01, 2.222219843214978396e-01,
                                    1.818357216161805012e-01, 1.531383769920937332e-01,
                                    1.479819860511658591e-01};
};

template <class V>
using ConstantsOf = MathConstants<Lane<V>>;

// c[0] + c[1]·x + …, Horner.
template <class V, class T, std::size_t n>
SLIM_INLINE V polynomial(V x, const T (&c)[n]) {
  V sum = broadcast<V>(c[n - 1]);
  for (std::size_t i = n - 1; i-- > 0;) sum = fma(sum, x, broadcast<V>(c[i]));
  return sum;
}

template <class V>
struct Reduced {
  V r;              // x - n·ln2, |r| <= ln2/2
  V rest;           // (e^r - 1 - r) / r²
  Mask<V> shifted;  // n, shifted to the exponent's bits

  V tail() const { return r * r * rest; }          // e^r - 1 - r
  V expm1() const { return fma(r * r, rest, r); }  // e^r - 1
};

template <class V>
SLIM_INLINE Reduced<V> reduce_exponent(V x) {
  using C = ConstantsOf<V>;
  const V shifted = fma(x, broadcast<V>(static_cast<Lane<V>>(1.442695040888963407359924681)),
                        broadcast<V>(C::kRound));
  const V n = shifted - C::kRound;
  V r = fma(n, broadcast<V>(-C::kLn2High), x);  // minus a constant costs no step
  r = fma(n, broadcast<V>(-C::kLn2Low), r);
  return {r, polynomial(r, C::kExp), bits_as<Mask<V>>(shifted) << C::kMantissa};
}

// <= 0.8 ulp
template <class V>
SLIM_INLINE V exp(V x) {
  using C = ConstantsOf<V>;
  const Reduced<V> part = reduce_exponent(x);
  const V high = part.r + Lane<V>(1);
  const V mantissa = high + ((part.r - (high - Lane<V>(1))) + part.tail());
  V result = bits_as<V>(bits_as<Mask<V>>(mantissa) + part.shifted);
  result = select(x < C::kExpLow, V{}, result);
  result = select(x > C::kExpHigh, broadcast<V>(std::numeric_limits<Lane<V>>::infinity()), result);
  return select(x != x, x, result);
}

// <= 3 ulp
template <class V>
SLIM_INLINE V expm1(V x) {
  using C = ConstantsOf<V>;
  const V low = max_or_second(broadcast<V>(C::kExpm1Low), x);  // NaN stays
  const Reduced<V> part = reduce_exponent(low);
  // 2^n·(p + 1) - 1 = 2·(2^(n-1)·p + (2^(n-1) - 1/2)): n = 128 has no 2^n
  const V half = bits_as<V>(part.shifted + ((C::kBias - 1) << C::kMantissa));
  const V p = part.r + part.tail();
  V result = Lane<V>(2) * fma(half, p, half - Lane<V>(0.5));
  result = select(part.shifted == Mask<V>{}, p, result);
  result = select(x > C::kExpHigh, broadcast<V>(std::numeric_limits<Lane<V>>::infinity()), result);
  return select((x == V{}) | (x != x), x, result);
}

// log(2^k·(1 + f)) given f in [sqrt(1/2) - 1, sqrt(2) - 1]; `low` is added to the small parts.
template <class V>
SLIM_INLINE V log_parts(V k, V f, V low) {
  using C = ConstantsOf<V>;
  const V half_square = Lane<V>(0.5) * f * f;
  const V s = f / (Lane<V>(2) + f);
  const V z = s * s;
  const V tail = z * polynomial(z, C::kLog);
  const V small = fma(s, half_square + tail, fma(k, broadcast<V>(C::kLogLn2Low), low));
  return fma(k, broadcast<V>(C::kLogLn2High), f - (half_square - small));
}

// Splits x = 2^k·m for normal x > 0, m in [sqrt(1/2), sqrt(2)).
template <class V>
SLIM_INLINE V split_exponent(V x, V* k) {
  using C = ConstantsOf<V>;
  using M = Mask<V>;
  constexpr auto kOne = C::kBias << C::kMantissa;
  const M bits = bits_as<M>(x) + (kOne - C::kSqrtHalf);
  const M exponent = bits >> C::kMantissa;  // biased; bits >= 0
  // An integer's bits under those of kRound make kRound + integer.
  const V rounded = bits_as<V>(exponent + bits_as<M>(broadcast<V>(C::kRound)));
  *k = rounded - (C::kRound + static_cast<Lane<V>>(C::kBias));
  return bits_as<V>((bits & ((Lane<M>(1) << C::kMantissa) - 1)) + C::kSqrtHalf);
}

// <= 1 ulp; x below the smallest normal number counts as zero
template <class V>
SLIM_INLINE V log(V x) {
  using L = std::numeric_limits<Lane<V>>;
  V k;
  const V m = split_exponent(x, &k);
  V result = log_parts(k, m - Lane<V>(1), V{});
  result = select(x == L::infinity(), x, result);
  result = select(x < L::min(), broadcast<V>(-L::infinity()), result);
  result = select(x < V{}, broadcast<V>(L::quiet_NaN()), result);
  return select(x != x, x, result);
}

// <= 2 ulp
template <class V>
SLIM_INLINE V log1p(V x) {
  using L = std::numeric_limits<Lane<V>>;
  const V u = x + Lane<V>(1);
  // What rounding u lost, relative to u.
  const V lost = select(u >= Lane<V>(2), Lane<V>(1) - (u - x), x - (u - Lane<V>(1))) / u;
  V k;
  const V m = split_exponent(u, &k);
  const V f = select(k == V{}, x, m - Lane<V>(1));  // u in [sqrt(1/2), sqrt(2)): x itself
  V result = log_parts(k, f, select(k == V{}, V{}, lost));
  result = select(u == L::infinity(), u, result);
  result = select(u == V{}, broadcast<V>(-L::infinity()), result);
  result = select(u < V{}, broadcast<V>(L::quiet_NaN()), result);
  return select((x == V{}) | (x != x), x, result);
}

// Of x <= 0, <= 0.9 ulp
template <class V>
SLIM_INLINE V exp_of_negative(V x) {
  using C = ConstantsOf<V>;
  const Reduced<V> part = reduce_exponent(x);
  const V mantissa = part.expm1() + Lane<V>(1);
  const V result = bits_as<V>(bits_as<Mask<V>>(mantissa) + part.shifted);
  return select(x >= C::kExpLow, result, max_or_second(V{}, x));  // NaN stays
}

// <= 2 ulp
template <class V>
SLIM_INLINE V sigmoid(V x) {
  const V e = exp_of_negative(with_sign(x, broadcast<V>(Lane<V>(-0.0))));
  const V sum = Lane<V>(1) + e;
  const V gained = (sum - Lane<V>(1)) - e;  // by rounding the sum
  const V q = select(x < V{}, e, broadcast<V>(Lane<V>(1))) / sum;
  const V inverse = select(x < V{}, Lane<V>(1) - q, q);
  return fma(q * inverse, gained, q);
}

// <= 4 ulp
template <class V>
SLIM_INLINE V tanh(V x) {
  using C = ConstantsOf<V>;
  // (e^2|x| - 1) / (e^2|x| + 1); from 22 on it is 1 in both precisions
  const V twice = min_or_second(broadcast<V>(Lane<V>(44)), Lane<V>(2) * absolute(x));
  const Reduced<V> part = reduce_exponent(twice);
  const V power = bits_as<V>(part.shifted + (C::kBias << C::kMantissa));
  const V e = fma(power, part.expm1(), power - Lane<V>(1));
  return with_sign(e / (e + Lane<V>(2)), x);
}

// <= 3 ulp
template <class V>
SLIM_INLINE V softplus(V x) {
  return maximum(x, V{}) + log1p(exp(-absolute(x)));
}

// max(z, 0) - z·y + log1p(e^-|z|)
template <class V>
SLIM_INLINE V sigmoid_cross_entropy(V z, V y) {
  return (maximum(z, V{}) - z * y) + log1p(exp(-absolute(z)));
}

// libm's: in vectors it would be no faster, as f64 needs a logarithm of 64 bits and more
template <class V>
SLIM_INLINE V pow(V x, V y) {
  return each_lane(x, y, [](auto a, auto b) { return libm::pow(a, b); });
}

template <class V>
SLIM_INLINE V reciprocal(V x) {
  return Lane<V>(1) / x;
}

template <class V>
SLIM_INLINE V rsqrt(V x) {
  return Lane<V>(1) / sqrt(x);
}

template <class V>
SLIM_INLINE V floor(V x) {
  return round_to<Rounding::down>(x);
}

template <class V>
SLIM_INLINE V ceil(V x) {
  return round_to<Rounding::up>(x);
}

template <class V>
SLIM_INLINE V round(V x) {
  return round_to<Rounding::nearest_even>(x);
}

// -1, 0 or 1; NaN and zeros as they are
template <class V>
SLIM_INLINE V sign(V x) {
  const V one = broadcast<V>(Lane<V>(1));
  return select(x > V{}, one, select(x < V{}, -one, x));
}

// NaN stays NaN.
template <class V>
SLIM_INLINE V relu(V x) {
  return max_or_second(V{}, x);
}

template <class V>
SLIM_INLINE V relu_grad(V dy, V y) {
  return select(y > V{}, dy, V{});
}

}  // namespace slim::SLIM_ISA_NAMESPACE
