// The exponentials of one row of logits, kept in registers (narrow) or in local scratch.
#pragma once

#include <algorithm>
#include <limits>

#include "cpu/lanes.h"
#include "cpu/lines.h"
#include "cpu/math.h"

namespace slim::SLIM_ISA_NAMESPACE {

template <class V>
SLIM_INLINE V largest_of(V v) {
  return fold_all(v, [](V a, V b) { return max_or_second(a, b); });
}

template <class V>
SLIM_INLINE V total_of(V v) {
  return fold_all(v, [](V a, V b) { return a + b; });
}

// A row of `width` elements in `vectors` vectors. A kernel body is written once for a count
// the compiler knows (its arrays become registers) and for any other (kVectors = 0).
template <class T, int kVectors>
struct RowShape {
  using V = Vec<T>;
  int64_t width;
  Mask<V> tail;

  explicit RowShape(int64_t width) : width(width), tail(lanes_below<V>(last_lanes())) {}

  SLIM_INLINE int64_t vectors() const {
    return kVectors > 0 ? kVectors : vectors_of(width, kLanes<T>);
  }
  SLIM_INLINE int64_t last_lanes() const { return width - (vectors() - 1) * kLanes<T>; }

  // Vector i of a row; lanes beyond it are -inf, which no maximum and no sum of exponentials
  // sees. A buffer may be read past its end, so no load needs a mask.
  SLIM_INLINE V at(const T* src, int64_t i) const {
    const V v = load(src + i * kLanes<T>);
    if (i + 1 < vectors()) return v;
    return select(tail, v, broadcast<V>(-std::numeric_limits<T>::infinity()));
  }

  SLIM_INLINE void put(T* dst, int64_t i, V v) const {
    store_first(dst + i * kLanes<T>, v, i + 1 < vectors() ? kLanes<T> : last_lanes());
  }

  // In all lanes. NaN may hide here; it shows in the sum.
  SLIM_INLINE V largest(const T* src) const {
    if constexpr (kVectors > 0) {
      V most = at(src, 0);
      for (int i = 1; i < kVectors; ++i) most = max_or_second(most, at(src, i));
      return largest_of(most);
    }
    const int64_t n = vectors();
    V part[4];
    for (V& v : part) v = at(src, n - 1);
    int64_t i = 0;
    for (; i + 4 < n; i += 4) {
      for (int j = 0; j < 4; ++j) part[j] = max_or_second(part[j], load(src + (i + j) * kLanes<T>));
    }
    for (; i + 1 < n; ++i) part[0] = max_or_second(part[0], load(src + i * kLanes<T>));
    return largest_of(
        max_or_second(max_or_second(part[0], part[1]), max_or_second(part[2], part[3])));
  }
};

// Scratch for a row's vectors.
template <class T, int kVectors>
struct RowVectors {
  Vec<T> v[kVectors];
  explicit RowVectors(std::byte*) {}
  SLIM_INLINE Vec<T>& operator[](int64_t i) { return v[i]; }
};

template <class T>
struct RowVectors<T, 0> {
  Vec<T>* v;
  explicit RowVectors(std::byte* local) : v(reinterpret_cast<Vec<T>*>(local)) {}
  SLIM_INLINE Vec<T>& operator[](int64_t i) { return v[i]; }
};

inline constexpr int kRegisterVectors = 4;  // a wider row goes through scratch

template <class T>
int64_t row_scratch(int64_t width) {
  const int64_t vectors = vectors_of(width, kLanes<T>);
  return vectors > kRegisterVectors ? vectors * kVectorBytes : 0;
}

// f(std::integral_constant<int, vectors of the row or 0>)
template <class T, class Function>
SLIM_INLINE void with_row_vectors(int64_t width, Function f) {
  switch (vectors_of(width, kLanes<T>)) {
    case 1:
      return f(std::integral_constant<int, 1>());
    case 2:
      return f(std::integral_constant<int, 2>());
    case 3:
      return f(std::integral_constant<int, 3>());
    case 4:
      return f(std::integral_constant<int, 4>());
    default:
      return f(std::integral_constant<int, 0>());
  }
}

// A launch over rows of the last axis, in tasks of whole vectors of rows; an element costs
// about what moving 32 bytes does.
class RowLaunch : public LineLaunch {
 public:
  RowLaunch(const Buffer& rows, int64_t width, int64_t step)
      : LineLaunch(count_of(rows, 0, rows.dims.size() - 1),
                   Split::by_bytes(32 * width, step, kSliceBytes),
                   lines_in_row(rows, rows.dims.size() - 1)) {}
};

}  // namespace slim::SLIM_ISA_NAMESPACE
