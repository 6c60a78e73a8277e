// What a reduction folds with, and the two loops that all reductions come down to: a line
// (neighbours in memory become one) and columns (lines become one line).
#pragma once

#include <algorithm>
#include <limits>

#include "cpu/lanes.h"
#include "cpu/math.h"
#include "cpu/reduce/reduction_axes.h"

namespace slim::SLIM_ISA_NAMESPACE {

// Terms, or partial results, of two reductions over the same elements.
template <class T>
struct Two {
  Vec<T> first, second;
};

template <class V>
inline constexpr int kParts = 1;
template <class T>
inline constexpr int kParts<Two<T>> = 2;

template <class T>
SLIM_INLINE Two<T> select(Mask<Vec<T>> mask, const Two<T>& a, const Two<T>& b) {
  return {select(mask, a.first, b.first), select(mask, a.second, b.second)};
}

template <class T>
struct Sum {
  using V = Vec<T>;
  static V start() { return V{}; }
  SLIM_INLINE V step(V sum, V x) const { return sum + x; }
  SLIM_INLINE V merge(V a, V b) const { return a + b; }
};

template <class T>
struct Sums {
  using V = Two<T>;
  static Sum<T> part() { return {}; }
  static V start() { return {Vec<T>{}, Vec<T>{}}; }
  SLIM_INLINE V step(const V& sums, const V& x) const { return merge(sums, x); }
  SLIM_INLINE V merge(const V& a, const V& b) const {
    return {a.first + b.first, a.second + b.second};
  }
};

// Of (x - mean)².
template <class T>
struct SumAround {
  using V = Vec<T>;
  V mean{};
  static V start() { return V{}; }
  SLIM_INLINE V step(V sum, V x) const {
    const V centered = x - mean;
    return sum + centered * centered;
  }
  SLIM_INLINE V merge(V a, V b) const { return a + b; }
};

// NaN wins, as in numpy.
template <class T>
struct Max {
  using V = Vec<T>;
  static V start() {
    using L = std::numeric_limits<T>;
    return broadcast<V>(L::has_infinity ? -L::infinity() : L::lowest());
  }
  SLIM_INLINE V step(V most, V x) const { return maximum(most, x); }
  SLIM_INLINE V merge(V a, V b) const { return maximum(a, b); }
};

template <class T>
struct Min {
  using V = Vec<T>;
  static V start() {
    using L = std::numeric_limits<T>;
    return broadcast<V>(L::has_infinity ? L::infinity() : L::max());
  }
  SLIM_INLINE V step(V least, V x) const { return minimum(least, x); }
  SLIM_INLINE V merge(V a, V b) const { return minimum(a, b); }
};

// Of exp(x - shift), shift finite.
template <class T>
struct SumExp {
  using V = Vec<T>;
  V shift{};
  static V start() { return V{}; }
  SLIM_INLINE V step(V sum, V x) const { return sum + exp(x - shift); }
  SLIM_INLINE V merge(V a, V b) const { return a + b; }
};

// Where the terms are, if not in memory themselves: products of two values, or squares of one,
// which are multiplied as they are read.
template <class T>
struct Products {
  static constexpr int kOperands = 2;
  const T *a, *b;

  SLIM_INLINE Products operator+(int64_t n) const { return {a + n, b + n}; }
};
template <class T>
struct Squares {
  static constexpr int kOperands = 1;
  const T* a;

  SLIM_INLINE Squares operator+(int64_t n) const { return {a + n}; }
};

// Both the values of `a` and those.
template <class T>
struct WithProducts {
  static constexpr int kOperands = 2;
  const T *a, *b;

  SLIM_INLINE WithProducts operator+(int64_t n) const { return {a + n, b + n}; }
};
template <class T>
struct WithSquares {
  static constexpr int kOperands = 1;
  const T* a;

  SLIM_INLINE WithSquares operator+(int64_t n) const { return {a + n}; }
};

template <class T>
SLIM_INLINE Vec<T> load(Products<T> src) {
  return load(src.a) * load(src.b);
}
template <class T>
SLIM_INLINE Vec<T> load(Squares<T> src) {
  const Vec<T> x = load(src.a);
  return x * x;
}

template <class T>
SLIM_INLINE Two<T> load(WithProducts<T> src) {
  const Vec<T> x = load(src.a);
  return {x, x * load(src.b)};
}
template <class T>
SLIM_INLINE Two<T> load(WithSquares<T> src) {
  const Vec<T> x = load(src.a);
  return {x, x * x};
}

template <class T>
SLIM_INLINE void prefetch(const T* src) {
  __builtin_prefetch(src);
}
template <class T>
SLIM_INLINE void prefetch(Products<T> src) {
  __builtin_prefetch(src.a);
  __builtin_prefetch(src.b);
}
template <class T>
SLIM_INLINE void prefetch(Squares<T> src) {
  __builtin_prefetch(src.a);
}
template <class T>
SLIM_INLINE void prefetch(WithProducts<T> src) {
  prefetch(Products<T>{src.a, src.b});
}
template <class T>
SLIM_INLINE void prefetch(WithSquares<T> src) {
  __builtin_prefetch(src.a);
}

// Results of runs, of n <= most vectors each, merged in pairs, pairs of pairs …: the error grows
// with the logarithm of their number. The order depends on that number alone.
template <class V, int most>
class Pairs {
 public:
  explicit Pairs(int n) : n_(n) {}

  template <class Fold>
  SLIM_INLINE void add(V (&run)[most], const Fold (&fold)[most]) {
    int level = 0;
    for (; (count_ >> level & 1) != 0; ++level) merge(run, level, fold);
    for (int j = 0; j < n_; ++j) level_[level][j] = run[j];
    ++count_;
  }

  template <class Fold>
  SLIM_INLINE void all(V (&result)[most], const Fold (&fold)[most]) const {
    int level = 0;
    for (; (count_ >> level & 1) == 0; ++level) {
      if (count_ >> level == 0) {
        for (int j = 0; j < n_; ++j) result[j] = fold[j].start();
        return;
      }
    }
    for (int j = 0; j < n_; ++j) result[j] = level_[level][j];
    for (++level; count_ >> level != 0; ++level) {
      if ((count_ >> level & 1) != 0) merge(result, level, fold);
    }
  }

 private:
  template <class Fold>
  SLIM_INLINE void merge(V (&run)[most], int level, const Fold (&fold)[most]) const {
    for (int j = 0; j < n_; ++j) run[j] = fold[j].merge(level_[level][j], run[j]);
  }

  V level_[48][most];  // of 2^level runs, where count_ has that bit
  int64_t count_ = 0;
  int n_;
};

template <class T>
inline constexpr int64_t kLineRun = kLineVectors * kLanes<T>;

// Partial results lane by lane of n <= kLineRun neighbours: four chains, begun anew after
// kSteps.
template <class T, class Terms, class Fold>
SLIM_INLINE typename Fold::V fold_line(Terms src, int64_t n, const Fold& fold) {
  using V = typename Fold::V;
  constexpr int64_t kWidth = kLanes<T>, kSteps = 16;
  V part[4] = {Fold::start(), Fold::start(), Fold::start(), Fold::start()};
  int64_t i = 0;
  const auto steps = [&](int64_t end, V(&chain)[4]) __attribute__((always_inline)) {
    for (; i + 4 * kWidth <= end; i += 4 * kWidth) {
      for (int j = 0; j < 4; ++j) chain[j] = fold.step(chain[j], load(src + i + j * kWidth));
    }
  };
  steps(std::min(n, kSteps * 4 * kWidth), part);
  while (i + 4 * kWidth <= n) {
    V chain[4] = {Fold::start(), Fold::start(), Fold::start(), Fold::start()};
    steps(std::min(n, i + kSteps * 4 * kWidth), chain);
    for (int j = 0; j < 4; ++j) part[j] = fold.merge(part[j], chain[j]);
  }
  for (; i + kWidth <= n; i += kWidth) part[0] = fold.step(part[0], load(src + i));
  if (i < n) {
    part[1] = select(lanes_below<Vec<T>>(n - i), fold.step(part[1], load(src + i)), part[1]);
  }
  return fold.merge(fold.merge(part[0], part[1]), fold.merge(part[2], part[3]));
}

// Chains in which so many vectors of columns go down: few would wait for each addition.
constexpr int chains_of(int vectors) { return vectors <= 2 ? 4 : vectors <= 4 ? 2 : 1; }

// `lines` <= kColumnRun lines of kVectors vectors, `stride` elements apart. A function of its own:
// of all that is around it there is one for any number of vectors.
template <int kChains, int kVectors, class T, class Terms, class Fold>
[[gnu::noinline]] void fold_chains(Terms src, int64_t lines, int64_t stride, const Fold* fold,
                                   typename Fold::V* result) {
  constexpr int kAhead = 16;  // lines: pieces of lines are no stream that processors know
  typename Fold::V part[kChains][kVectors];
  for (auto& chain : part) {
    for (auto& v : chain) v = Fold::start();
  }
  int64_t i = 0;
  for (; i + kChains <= lines; i += kChains) {
    for (int chain = 0; chain < kChains; ++chain) {
      const Terms line = src + (i + chain) * stride;
      for (int j = 0; j < kVectors; ++j) {
        prefetch(line + kAhead * stride + j * kLanes<T>);
        part[chain][j] = fold[j].step(part[chain][j], load(line + j * kLanes<T>));
      }
    }
  }
  for (; i < lines; ++i) {
    for (int j = 0; j < kVectors; ++j) {
      part[0][j] = fold[j].step(part[0][j], load(src + i * stride + j * kLanes<T>));
    }
  }
  for (int j = 0; j < kVectors; ++j) {
    for (int chain = 1; chain < kChains; ++chain) {
      part[0][j] = fold[j].merge(part[0][j], part[chain][j]);
    }
    result[j] = part[0][j];
  }
}

// The same for `vectors` of them, kVectors at least, as many at once as registers hold: their
// number changes no order.
template <class T, int kVectors = 1, int most, class Terms, class Fold>
SLIM_INLINE void fold_columns(Terms src, int64_t lines, int64_t stride, const Fold (&fold)[most],
                              typename Fold::V (&result)[most], int vectors) {
  if constexpr (kVectors < most) {
    if (vectors > kVectors) {
      return fold_columns<T, kVectors + 1>(src, lines, stride, fold, result, vectors);
    }
  }
  constexpr int kChains = chains_of(kVectors);
  constexpr int kAtOnce = kParts<typename Fold::V> == 1 ? kVectors : 4 / kChains;
  constexpr int kWhole = kVectors / kAtOnce * kAtOnce;
  for (int j = 0; j < kWhole; j += kAtOnce) {
    fold_chains<kChains, kAtOnce, T>(src + j * kLanes<T>, lines, stride, fold + j, result + j);
  }
  if constexpr (kWhole < kVectors) {
    fold_chains<kChains, kVectors - kWhole, T>(src + kWhole * kLanes<T>, lines, stride,
                                               fold + kWhole, result + kWhole);
  }
}

}  // namespace slim::SLIM_ISA_NAMESPACE
