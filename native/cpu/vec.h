// Vectors of one instruction set: types, loads, stores and the few operations C++ cannot spell.
// Everything under cpu/ is compiled once per level into namespace slim::<level>.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#define SLIM_INLINE [[gnu::always_inline]] inline

namespace slim::SLIM_ISA_NAMESPACE {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
inline constexpr int kVectorRegisters = 32;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
inline constexpr int kVectorRegisters = 16;
#else
inline constexpr int kVectorBytes = 16;
inline constexpr int kVectorRegisters = 16;
#endif

template <class T, int bytes = kVectorBytes>
struct VectorOf {
  typedef T type __attribute__((vector_size(bytes)));
};

// A vector of T with the operators of T, lane by lane; a comparison yields a Mask.
template <class T>
using Vec = typename VectorOf<T>::type;

// Half a vector: where the full width takes two passes, the rest of a row needs but one.
inline constexpr bool kHalves = kVectorBytes == 64;
template <class T>
using HalfVec = typename VectorOf<T, kVectorBytes / 2>::type;

template <class T>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

using F32 = Vec<float>;
using F64 = Vec<double>;
using I32 = Vec<int32_t>;
using I64 = Vec<int64_t>;

template <class V>
using Lane = std::remove_cvref_t<decltype(V{}[0])>;
template <class V>
using Mask = std::remove_cvref_t<decltype(V{} < V{})>;

template <class T>
SLIM_INLINE Vec<T> load(const T* src) {
  Vec<T> v;
  __builtin_memcpy(&v, src, sizeof(v));
  return v;
}

template <class V>
SLIM_INLINE V load_as(const Lane<V>* src) {
  V v;
  __builtin_memcpy(&v, src, sizeof(v));
  return v;
}

template <class V>
SLIM_INLINE void store(Lane<V>* dst, V v) {
  __builtin_memcpy(dst, &v, sizeof(v));
}

template <class V>
SLIM_INLINE V broadcast(Lane<V> x) {
  return x - V{};  // not V{} + x: -0.0 must stay -0.0
}

template <class To, class V>
SLIM_INLINE To bits_as(V v) {
  static_assert(sizeof(To) == sizeof(V));
  To to;
  __builtin_memcpy(&to, &v, sizeof(v));
  return to;
}

// 0, 1, 2 … kLanes-1
template <class V>
SLIM_INLINE V lane_numbers() {
  V v{};
  for (int i = 0; i < kLanes<Lane<V>>; ++i) v[i] = static_cast<Lane<V>>(i);
  return v;
}

template <class To, class V>
SLIM_INLINE To convert(V v) {
  return __builtin_convertvector(v, To);
}

template <class V>
SLIM_INLINE V select(Mask<V> mask, V a, V b) {
  return mask ? a : b;
}

// Whether a comparison holds in some lane.
template <class M>
SLIM_INLINE bool any(M mask) {
  static_assert(sizeof(M) == kVectorBytes);
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask(bits_as<__m512i>(mask), bits_as<__m512i>(mask)) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_epi8(bits_as<__m256i>(mask)) != 0;
#elif defined(__SSE2__)
  return _mm_movemask_epi8(bits_as<__m128i>(mask)) != 0;
#else
  for (int i = 0; i < kLanes<Lane<M>>; ++i) {
    if (mask[i] != 0) return true;
  }
  return false;
#endif
}

#if defined(__AVX512F__)
SLIM_INLINE __mmask16 tail_mask32(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }
SLIM_INLINE __mmask8 tail_mask64(int64_t n) { return static_cast<__mmask8>((1u << n) - 1); }
#elif defined(__AVX2__)
SLIM_INLINE __m256i tail_mask32(int64_t n) {
  return bits_as<__m256i>(lane_numbers<I32>() < static_cast<int32_t>(n));
}
SLIM_INLINE __m256i tail_mask64(int64_t n) { return bits_as<__m256i>(lane_numbers<I64>() < n); }
#endif

// The first n lanes, 0 <= n < kLanes; the others read zero and are not touched.
template <class T>
SLIM_INLINE Vec<T> load_partial(const T* src, int64_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return bits_as<Vec<T>>(_mm512_maskz_loadu_epi32(tail_mask32(n), src));
  } else if constexpr (sizeof(T) == 8) {
    return bits_as<Vec<T>>(_mm512_maskz_loadu_epi64(tail_mask64(n), src));
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    return bits_as<Vec<T>>(
        _mm256_maskload_epi32(reinterpret_cast<const int*>(src), tail_mask32(n)));
  } else if constexpr (sizeof(T) == 8) {
    return bits_as<Vec<T>>(
        _mm256_maskload_epi64(reinterpret_cast<const long long*>(src), tail_mask64(n)));
  }
#endif
  Vec<T> v{};
  for (int64_t i = 0; i < n; ++i) v[i] = src[i];
  return v;
}

template <class V>
SLIM_INLINE void store_partial(Lane<V>* dst, V v, int64_t n) {
  [[maybe_unused]] constexpr int kBytes = sizeof(Lane<V>);
#if defined(__AVX512F__)
  if constexpr (sizeof(V) == 32 && kBytes == 4) {
    _mm256_mask_storeu_epi32(dst, static_cast<__mmask8>(tail_mask32(n)), bits_as<__m256i>(v));
    return;
  } else if constexpr (sizeof(V) == 32 && kBytes == 8) {
    _mm256_mask_storeu_epi64(dst, tail_mask64(n), bits_as<__m256i>(v));
    return;
  } else if constexpr (kBytes == 4) {
    _mm512_mask_storeu_epi32(dst, tail_mask32(n), bits_as<__m512i>(v));
    return;
  } else if constexpr (kBytes == 8) {
    _mm512_mask_storeu_epi64(dst, tail_mask64(n), bits_as<__m512i>(v));
    return;
  }
#elif defined(__AVX2__)
  if constexpr (kBytes == 4) {
    _mm256_maskstore_epi32(reinterpret_cast<int*>(dst), tail_mask32(n), bits_as<__m256i>(v));
    return;
  } else if constexpr (kBytes == 8) {
    _mm256_maskstore_epi64(reinterpret_cast<long long*>(dst), tail_mask64(n), bits_as<__m256i>(v));
    return;
  }
#endif
  for (int64_t i = 0; i < n; ++i) dst[i] = v[i];
}

// a·b + c: one rounding where the level has FMA, two on the generic level — the same
// everywhere within a level, which is what a result's bits depend on.
template <class V>
SLIM_INLINE V fma(V a, V b, V c) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<V, F32>) return (V)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
  if constexpr (std::is_same_v<V, F64>)
    return (V)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
  if constexpr (std::is_same_v<V, HalfVec<float>>)
    return (V)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
  if constexpr (std::is_same_v<V, HalfVec<double>>)
    return (V)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__FMA__)
  if constexpr (std::is_same_v<V, F32>) return (V)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
  if constexpr (std::is_same_v<V, F64>)
    return (V)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#endif
  return a * b + c;
}

// The scalar of the same level and the same bits as one lane of fma(V…).
template <class T>
  requires std::is_floating_point_v<T>
SLIM_INLINE T fma(T a, T b, T c) {
#if defined(__FMA__)
  if constexpr (sizeof(T) == 4) return __builtin_fmaf(a, b, c);
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// (The AVX-512 forms below carry a full mask: the plain ones read an undefined register, which
// GCC 12 reports.)
template <class V>
SLIM_INLINE V sqrt(V v) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<V, F32>) return (V)_mm512_maskz_sqrt_ps(0xffff, (__m512)v);
  if constexpr (std::is_same_v<V, F64>) return (V)_mm512_maskz_sqrt_pd(0xff, (__m512d)v);
#elif defined(__AVX2__)
  if constexpr (std::is_same_v<V, F32>) return (V)_mm256_sqrt_ps((__m256)v);
  if constexpr (std::is_same_v<V, F64>) return (V)_mm256_sqrt_pd((__m256d)v);
#elif defined(__SSE2__)
  if constexpr (std::is_same_v<V, F32>) return (V)_mm_sqrt_ps((__m128)v);
  if constexpr (std::is_same_v<V, F64>) return (V)_mm_sqrt_pd((__m128d)v);
#else
  for (int i = 0; i < kLanes<Lane<V>>; ++i) v[i] = __builtin_sqrt(v[i]);
  return v;
#endif
}

// a > b ? a : b — b where either is NaN: max_or_second(0, x) is relu and keeps NaN.
template <class V>
SLIM_INLINE V max_or_second(V a, V b) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<V, F32>) return (V)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b);
  if constexpr (std::is_same_v<V, F64>) return (V)_mm512_maskz_max_pd(0xff, (__m512d)a, (__m512d)b);
#elif defined(__AVX2__)
  if constexpr (std::is_same_v<V, F32>) return (V)_mm256_max_ps((__m256)a, (__m256)b);
  if constexpr (std::is_same_v<V, F64>) return (V)_mm256_max_pd((__m256d)a, (__m256d)b);
#elif defined(__SSE2__)
  if constexpr (std::is_same_v<V, F32>) return (V)_mm_max_ps((__m128)a, (__m128)b);
  if constexpr (std::is_same_v<V, F64>) return (V)_mm_max_pd((__m128d)a, (__m128d)b);
#endif
  return a > b ? a : b;
}

// a < b ? a : b — b where either is NaN.
template <class V>
SLIM_INLINE V min_or_second(V a, V b) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<V, F32>) return (V)_mm512_maskz_min_ps(0xffff, (__m512)a, (__m512)b);
  if constexpr (std::is_same_v<V, F64>) return (V)_mm512_maskz_min_pd(0xff, (__m512d)a, (__m512d)b);
#elif defined(__AVX2__)
  if constexpr (std::is_same_v<V, F32>) return (V)_mm256_min_ps((__m256)a, (__m256)b);
  if constexpr (std::is_same_v<V, F64>) return (V)_mm256_min_pd((__m256d)a, (__m256d)b);
#elif defined(__SSE2__)
  if constexpr (std::is_same_v<V, F32>) return (V)_mm_min_ps((__m128)a, (__m128)b);
  if constexpr (std::is_same_v<V, F64>) return (V)_mm_min_pd((__m128d)a, (__m128d)b);
#endif
  return a < b ? a : b;
}

// NaN where either is NaN, as numpy.
template <class V>
SLIM_INLINE V maximum(V a, V b) {
  if constexpr (std::is_integral_v<Lane<V>>) return a > b ? a : b;
  return select(a != a, a, max_or_second(a, b));
}

template <class V>
SLIM_INLINE V minimum(V a, V b) {
  if constexpr (std::is_integral_v<Lane<V>>) return a < b ? a : b;
  return select(a != a, a, min_or_second(a, b));
}

template <class V>
SLIM_INLINE V absolute(V v) {
  if constexpr (std::is_integral_v<Lane<V>>) {
    return v < V{} ? -v : v;
  } else {
    using M = Mask<V>;
    using Bits = std::make_unsigned_t<Lane<M>>;
    return bits_as<V>(bits_as<M>(v) & static_cast<Lane<M>>(static_cast<Bits>(-1) >> 1));
  }
}

// |magnitude| with the sign of `sign`.
template <class V>
SLIM_INLINE V with_sign(V magnitude, V sign) {
  using M = Mask<V>;
  using Bits = std::make_unsigned_t<Lane<M>>;
  constexpr auto kRest = static_cast<Lane<M>>(static_cast<Bits>(-1) >> 1);
  return bits_as<V>((bits_as<M>(magnitude) & kRest) | (bits_as<M>(sign) & ~kRest));
}

enum class Rounding { nearest_even, down, up };

template <Rounding rounding, class V>
SLIM_INLINE V round_to(V v) {
#if defined(__AVX2__)
  constexpr int kMode = (rounding == Rounding::nearest_even ? _MM_FROUND_TO_NEAREST_INT
                         : rounding == Rounding::down       ? _MM_FROUND_TO_NEG_INF
                                                            : _MM_FROUND_TO_POS_INF) |
                        _MM_FROUND_NO_EXC;
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<V, F32>)
    return (V)_mm512_maskz_roundscale_ps(0xffff, (__m512)v, kMode);
  if constexpr (std::is_same_v<V, F64>)
    return (V)_mm512_maskz_roundscale_pd(0xff, (__m512d)v, kMode);
#else
  if constexpr (std::is_same_v<V, F32>) return (V)_mm256_round_ps((__m256)v, kMode);
  if constexpr (std::is_same_v<V, F64>) return (V)_mm256_round_pd((__m256d)v, kMode);
#endif
#endif
  // Adding 2^(mantissa bits) rounds to an integer; beyond it every value is one.
  using T = Lane<V>;
  constexpr T kLarge = sizeof(T) == 4 ? T(8388608) : T(4503599627370496);
  const V magnitude = absolute(v);
  V whole = with_sign((magnitude + kLarge) - kLarge, v);
  if constexpr (rounding == Rounding::down) whole = whole > v ? whole - T(1) : whole;
  if constexpr (rounding == Rounding::up) whole = whole < v ? with_sign(whole + T(1), v) : whole;
  return magnitude < kLarge ? whole : v;
}

// One lane after another through a scalar function: a lane's bits cannot depend on its place.
template <class V, class Function>
SLIM_INLINE V each_lane(V v, Function function) {
  for (int i = 0; i < kLanes<Lane<V>>; ++i) v[i] = function(v[i]);
  return v;
}

template <class V, class Function>
SLIM_INLINE V each_lane(V a, V b, Function function) {
  for (int i = 0; i < kLanes<Lane<V>>; ++i) a[i] = function(a[i], b[i]);
  return a;
}

// `otherwise`, but function(v) in the lanes of the mask, which are few.
template <class V, class Function>
SLIM_INLINE V each_lane_where(Mask<V> mask, V v, V otherwise, Function function) {
  if (!any(mask)) return otherwise;
  for (int i = 0; i < kLanes<Lane<V>>; ++i) {
    if (mask[i] != 0) otherwise[i] = function(v[i]);
  }
  return otherwise;
}

namespace libm {
using std::cos;
using std::erf;
using std::pow;
using std::sin;
}  // namespace libm

// Folds of all lanes, always by the same tree.
template <class V, class Function>
SLIM_INLINE Lane<V> fold(V v, Function function) {
  Lane<V> lane[kLanes<Lane<V>>];
  store(lane, v);
  for (int half = kLanes<Lane<V>> / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lane[i] = function(lane[i], lane[i + half]);
  }
  return lane[0];
}

template <class V>
SLIM_INLINE Lane<V> sum_of(V v) {
  return fold(v, [](auto a, auto b) { return a + b; });
}

}  // namespace slim::SLIM_ISA_NAMESPACE
