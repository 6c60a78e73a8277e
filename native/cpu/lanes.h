// Vectors against memory rows: tails, and folds whose result stands in every lane.
#pragma once

#include <cstdint>
#include <limits>
#include <utility>

#include "cpu/vec.h"

namespace slim::SLIM_ISA_NAMESPACE {

template <class V, int distance, int... lane>
SLIM_INLINE V swap_lanes(V v, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(v, v, (lane ^ distance)...);
}

// Every lane holds the same bits: f is commutative and all lanes see one tree.
template <class V, class Function, int distance = kLanes<Lane<V>> / 2>
SLIM_INLINE V fold_all(V v, Function f) {
  if constexpr (distance == 0) {
    return v;
  } else {
    constexpr auto kAll = std::make_integer_sequence<int, kLanes<Lane<V>>>();
    return fold_all<V, Function, distance / 2>(f(v, swap_lanes<V, distance>(v, kAll)), f);
  }
}

// Whether lane i is below n.
template <class V>
SLIM_INLINE Mask<V> lanes_below(int64_t n) {
  return lane_numbers<Mask<V>>() < static_cast<Lane<Mask<V>>>(n);
}

// The first n lanes, 1 <= n <= kLanes. Not by a masked store: Zen runs those in microcode.
template <class V>
SLIM_INLINE void store_first(Lane<V>* dst, V v, int64_t n) {
  using T = Lane<V>;
  constexpr int64_t kAll = kLanes<T>;
  if (n == kAll) {
    store(dst, v);
    return;
  }
#if defined(__AVX512F__)
  store_partial(dst, v, n);
#else
  alignas(kVectorBytes) T lane[kAll];
  store(lane, v);
  int64_t at = 0;
  if constexpr (kAll > 4) {
    if (n & 4) __builtin_memcpy(dst, lane, 4 * sizeof(T)), at = 4;
  }
  if (n & 2) __builtin_memcpy(dst + at, lane + at, 2 * sizeof(T)), at += 2;
  if (n & 1) dst[at] = lane[at];
#endif
}

// The largest value if finite, else 0: exp(x - shift) then meets the infinities by itself.
template <class V>
SLIM_INLINE V finite_shift(V largest) {
  return select(absolute(largest) < std::numeric_limits<Lane<V>>::infinity(), largest, V{});
}

inline int64_t vectors_of(int64_t n, int64_t lanes) { return (n + lanes - 1) / lanes; }

}  // namespace slim::SLIM_ISA_NAMESPACE
