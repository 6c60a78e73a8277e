// How a reduction walks through its operand: along lines, or down columns.
#pragma once

#include <algorithm>
#include <utility>

#include "cpu/reduce/reduction_axes.h"
#include "cpu/reduce/reduction_runs.h"

namespace slim::SLIM_ISA_NAMESPACE {

// The runs of one result's terms: those of each line (or column) that is reduced, in order.
template <int64_t run>
struct Runs {
  int64_t lines, length;

  int64_t per_line() const { return (length + run - 1) / run; }
  int64_t count() const { return lines * per_line(); }
  int64_t terms() const { return lines * length; }

  // Folds the runs first … last-1 of n vectors; fold_run(line, begin, terms, result) folds one.
  template <class V, int most, class Fold, class FoldRun>
  SLIM_INLINE void fold(int64_t first, int64_t last, const Fold (&fold)[most], V (&result)[most],
                        FoldRun fold_run, int n = most) const {
    const bool alone = last - first == 1;
    Pairs<V, most> pairs(n);
    int64_t line = first > 0 ? first / per_line() : 0;
    int64_t begin = first > 0 ? first % per_line() * run : 0;
    for (; first < last; ++first) {
      V part[most];
      fold_run(line, begin, std::min(run, length - begin), part);
      if (alone) {
        for (int j = 0; j < n; ++j) result[j] = part[j];
        return;
      }
      pairs.add(part, fold);
      begin += run;
      if (begin >= length) begin = 0, ++line;
    }
    pairs.all(result, fold);
  }
};

// Where the results of each part lie.
template <class T, int parts>
struct Places {
  T* at[parts];

  Places operator+(int64_t n) const {
    Places moved;
    for (int i = 0; i < parts; ++i) moved.at[i] = at[i] + n;
    return moved;
  }
};

template <class T>
SLIM_INLINE void put(Places<T, 1> dst, Vec<T> v, int64_t n) {
  store_first(dst.at[0], v, n);
}
template <class T>
SLIM_INLINE void put(Places<T, 2> dst, const Two<T>& v, int64_t n) {
  store_first(dst.at[0], v.first, n);
  store_first(dst.at[1], v.second, n);
}

template <class T>
SLIM_INLINE void put_one(Places<T, 1> dst, Vec<T> v) {
  *dst.at[0] = v[0];
}
template <class T>
SLIM_INLINE void put_one(Places<T, 2> dst, const Two<T>& v) {
  *dst.at[0] = v.first[0];
  *dst.at[1] = v.second[0];
}

// What lanes are to each other: terms of one result, or results of their own.
struct OneResult {
  template <class V, class Fold>
  SLIM_INLINE static V across(const V& v, const Fold& fold) {
    if constexpr (kParts<V> == 2) {
      return {across(v.first, fold.part()), across(v.second, fold.part())};
    } else {
      return fold_all(v, [&](V a, V b) __attribute__((always_inline)) { return fold.merge(a, b); });
    }
  }
  // The j-th vector of what is known of each result.
  template <class T>
  SLIM_INLINE static Vec<T> known(const T* results, int) {
    return broadcast<Vec<T>>(*results);
  }
};

struct OwnResults {
  template <class V, class Fold>
  SLIM_INLINE static V across(const V& v, const Fold&) {
    return v;
  }
  template <class T>
  SLIM_INLINE static Vec<T> known(const T* results, int j) {
    return load(results + j * kLanes<T>);
  }
};

// Neighbours in memory become one.
template <class T>
class Lines {
 public:
  static constexpr bool kShort = true;

  Lines(const Walk& walk, int64_t rows)
      : walk_(walk), runs_{product_of(walk.reduced, rows), walk.strip.size(rows)} {}

  int64_t result(int64_t unit) const { return unit; }
  int64_t terms() const { return runs_.terms(); }

  // Terms: where the values are, as reduction_runs.h loads them. Reduction: what becomes of n
  // vectors side by side (reductions.h).
  template <class Terms, class Reduction, class Dst>
  void reduce(const Reduction& reduction, Terms base, int64_t unit, int64_t first, int64_t last,
              Dst dst) const {
    const Terms src = base + offset_of(walk_.kept, unit);
    one(
        reduction,
        [&](const auto& fold, auto& partial) __attribute__((always_inline)) {
          runs_.fold(first, last, fold, partial,
                     [&](int64_t line, int64_t begin, int64_t n, auto& part)
                         __attribute__((always_inline)) {
                           const Terms at = src + (offset_of(walk_.reduced, line) + begin);
                           part[0] = fold_line<T>(at, n, fold[0]);
                         });
        },
        dst);
  }

  // Units of one run each: what a row's few terms cost is mostly the way to them.
  template <class Terms, class Reduction, class Dst>
  void reduce_short(const Reduction& reduction, Terms base, int64_t unit, int64_t last,
                    Dst dst) const {
    const int64_t n = runs_.length;
    const std::vector<ReductionAxis>& kept = walk_.kept;
    for (; unit < last; ++unit) {
      const Terms src = base + offset_of(kept, unit);
      one(
          reduction,
          [&](const auto& fold, auto& partial)
              __attribute__((always_inline)) { partial[0] = fold_line<T>(src, n, fold[0]); },
          dst + unit);
    }
  }

 private:
  template <class Reduction, class Fold, class Dst>
  SLIM_INLINE static void one(const Reduction& reduction, Fold fold, Dst dst) {
    typename Reduction::Value result[1];
    reduction.reduce(result, 1, fold, OneResult());
    put_one(dst, result[0]);
  }

  const Walk& walk_;
  Runs<kLineRun<T>> runs_;
};

// Lines become one line, a block of it at a time: whole vectors, kMost at most.
template <class T, int kMost>
class Columns {
 public:
  static constexpr bool kShort = false;

  Columns(const Walk& walk, int64_t rows)
      : walk_(walk), runs_{product_of(walk.reduced, rows), walk.strip.size(rows)} {}

  int64_t result(int64_t unit) const { return walk_.result(unit); }
  int64_t terms() const { return runs_.terms(); }

  template <class Terms, class Reduction, class Dst>
  void reduce(const Reduction& reduction, Terms base, int64_t unit, int64_t first, int64_t last,
              Dst dst) const {
    const int64_t column = walk_.column(unit);
    const int64_t n = std::min(walk_.line - column, walk_.width);
    const Terms src = base + (offset_of(walk_.kept, unit / walk_.blocks) + column);
    const auto vectors = static_cast<int>(vectors_of(n, kLanes<T>));
    typename Reduction::Value result[kMost];
    reduction.reduce(
        result, vectors,
        [&](const auto& fold, auto& total) __attribute__((always_inline)) {
          runs_.fold(
              first, last, fold, total,
              [&](int64_t strip, int64_t begin, int64_t lines, auto& part)
                  __attribute__((always_inline)) {
                    const int64_t stride = walk_.strip.stride;
                    const Terms at = src + (offset_of(walk_.reduced, strip) + begin * stride);
                    fold_columns<T>(at, lines, stride, fold, part, vectors);
                  },
              vectors);
        },
        OwnResults());
    for (int j = 0; j < vectors; ++j) {
      const int64_t left = n - j * kLanes<T>;
      put(dst + j * kLanes<T>, result[j], std::min<int64_t>(left, kLanes<T>));
    }
  }

 private:
  const Walk& walk_;
  Runs<kColumnRun> runs_;
};

}  // namespace slim::SLIM_ISA_NAMESPACE
