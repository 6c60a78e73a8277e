// What becomes of the terms of n <= most vectors of results side by side: walk(folds, partial)
// folds all terms lane by lane, as often as it is called; Lanes says what lanes are to each other.
#pragma once

#include <type_traits>

#include "cpu/reduce/reduction_walks.h"

namespace slim::SLIM_ISA_NAMESPACE {

// Vectors of a block of columns: sums of floats are what training steps wait for.
template <class T>
inline constexpr int kMostSums = std::is_integral_v<T> ? 2 : 8;

// What reductions are made of: how many terms a result has, and what is known of the first
// results of a unit.
template <class T>
struct Start {
  int64_t terms;
  const T* known;
};

template <template <class> class Fold, class T>
struct Plain {
  using Value = typename Fold<T>::V;
  static constexpr bool kPair = std::is_same_v<Fold<T>, Sums<T>>;
  using Merge = std::conditional_t<kPair, Sum<T>, Fold<T>>;
  static constexpr bool kSliced = true;  // results of parts can be merged
  static constexpr int kMost =
      kPair || std::is_same_v<Fold<T>, Sum<T>> ? kMostSums<T> : std::min(kMostSums<T>, 4);

  explicit Plain(Start<T>) {}

  template <int most, class Walk, class Lanes>
  SLIM_INLINE void reduce(Value (&result)[most], int n, Walk walk, Lanes) const {
    const Fold<T> fold[most];
    walk(fold, result);
    for (int j = 0; j < n; ++j) result[j] = Lanes::across(result[j], fold[j]);
  }
};

template <class T>
struct LogSumExp {
  using Value = Vec<T>;
  static constexpr bool kSliced = false;
  static constexpr int kMost = 4;

  explicit LogSumExp(Start<T>) {}

  template <int most, class Walk, class Lanes>
  SLIM_INLINE void reduce(Value (&result)[most], int n, Walk walk, Lanes) const {
    const Max<T> largest[most];
    SumExp<T> sums[most];
    walk(largest, result);
    for (int j = 0; j < n; ++j) sums[j].shift = finite_shift(Lanes::across(result[j], largest[j]));
    walk(sums, result);
    for (int j = 0; j < n; ++j) {
      result[j] = sums[j].shift + log(Lanes::across(result[j], sums[j]));
    }
  }
};

// The sum of squares around the mean of those whose sums are known.
template <class T>
struct Spread {
  using Value = Vec<T>;
  using Merge = Sum<T>;
  static constexpr bool kSliced = true;
  static constexpr int kMost = kMostSums<T>;

  explicit Spread(Start<T> start)
      : sums(start.known), terms(broadcast<Vec<T>>(static_cast<T>(start.terms))) {}

  template <int most, class Walk, class Lanes>
  SLIM_INLINE void reduce(Value (&result)[most], int n, Walk walk, Lanes) const {
    SumAround<T> fold[most];
    for (int j = 0; j < n; ++j) fold[j].mean = Lanes::known(sums, j) / terms;
    walk(fold, result);
    for (int j = 0; j < n; ++j) result[j] = Lanes::across(result[j], fold[j]);
  }

  const T* sums;
  Vec<T> terms;
};

// The sum, and the sum of squares around the mean: the second walk finds near what the first
// one read.
template <class T>
struct Moments {
  using Value = Two<T>;
  static constexpr bool kSliced = false;
  static constexpr int kMost = kMostSums<T>;

  explicit Moments(Start<T> start) : terms(broadcast<Vec<T>>(static_cast<T>(start.terms))) {}

  template <int most, class Walk, class Lanes>
  SLIM_INLINE void reduce(Value (&result)[most], int n, Walk walk, Lanes) const {
    const Sum<T> sum[most];
    Vec<T> first[most], second[most];
    walk(sum, first);
    SumAround<T> around[most];
    for (int j = 0; j < n; ++j) {
      first[j] = Lanes::across(first[j], sum[j]);
      around[j].mean = first[j] / terms;
    }
    walk(around, second);
    for (int j = 0; j < n; ++j) result[j] = {first[j], Lanes::across(second[j], around[j])};
  }

  Vec<T> terms;
};

}  // namespace slim::SLIM_ISA_NAMESPACE
