// How a reduction walks through its operand: along lines, or down columns.
#pragma once

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

  // Folds the runs first … last-1; fold_run(line, begin, terms, result) folds one.
  template <class V, int n, class Fold, class FoldRun>
  SLIM_INLINE void fold(int64_t first, int64_t last, const Fold (&fold)[n], V (&result)[n],
                        FoldRun fold_run) const {
    Pairs<V, n> pairs;
    int64_t line = first > 0 ? first / per_line() : 0;
    int64_t begin = first > 0 ? first % per_line() * run : 0;
    for (; first < last; ++first) {
      V part[n];
      fold_run(line, begin, std::min(run, length - begin), part);
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

// Neighbours in memory become one: [kept, line].
template <class T>
class Lines {
 public:
  using Runs = slim::SLIM_ISA_NAMESPACE::Runs<kLineRun<T>>;
  static constexpr bool kShort = true;

  explicit Lines(ReductionAxes axes) : axes_(std::move(axes)) {}

  int64_t units(int64_t rows) const { return product_of(axes_.kept, rows); }
  int64_t results(int64_t rows) const { return units(rows); }
  int64_t terms(int64_t rows) const {  // of a unit
    return product_of(axes_.reduced, rows) * axes_.line.size(rows);
  }
  int64_t result(int64_t unit) const { return unit; }  // the first of a unit
  Runs runs(int64_t rows) const { return {product_of(axes_.reduced, rows), axes_.line.size(rows)}; }

  // Terms: where the values are, as reduction_runs.h loads them. Reduction: what becomes of n
  // vectors side by side (reductions.h).
  template <class Terms, class Reduction, class Dst>
  void reduce(const Reduction& reduction, Terms base, const Runs& runs, int64_t unit, int64_t first,
              int64_t last, Dst dst) const {
    const Terms src = base + offset_of(axes_.kept, unit);
    one(
        reduction,
        [&](const auto& fold, auto& partial) __attribute__((always_inline)) {
          runs.fold(first, last, fold, partial,
                    [&](int64_t line, int64_t begin, int64_t n, auto& part)
                        __attribute__((always_inline)) {
                          const Terms at = src + (offset_of(axes_.reduced, line) + begin);
                          part[0] = fold_line<T>(at, n, fold[0]);
                        });
        },
        dst);
  }

  // Units of one run each: what a row's few terms cost is mostly the way to them.
  template <class Terms, class Reduction, class Dst>
  void reduce_short(const Reduction& reduction, Terms base, int64_t unit, int64_t last,
                    int64_t rows, Dst dst) const {
    const int64_t n = axes_.line.size(rows);
    for (; unit < last; ++unit) {
      const Terms src = base + offset_of(axes_.kept, unit);
      one(
          reduction,
          [&](const auto& fold, auto& partial)
              __attribute__((always_inline)) { partial[0] = fold_line<T>(src, n, fold[0]); },
          dst + unit);
    }
  }

 private:
  template <class Reduction, class Walk, class Dst>
  SLIM_INLINE static void one(const Reduction& reduction, Walk walk, Dst dst) {
    typename Reduction::Value result[1];
    reduction.reduce(result, walk, OneResult());
    put_one(dst, result[0]);
  }

  ReductionAxes axes_;
};

// Lines become one line: [kept, reduced, line], the line cut into blocks of whole vectors, kMost
// at most.
template <class T, int kMost>
class Columns {
 public:
  using Runs = slim::SLIM_ISA_NAMESPACE::Runs<kColumnRun>;
  static constexpr bool kShort = false;

  explicit Columns(ReductionAxes axes) : axes_(std::move(axes)), line_(axes_.line.size.fixed) {
    const int64_t vectors = vectors_of(line_, kLanes<T>);
    blocks_ = (vectors + kMost - 1) / kMost;
    block_ = blocks_ > 0 ? (vectors + blocks_ - 1) / blocks_ : 1;
    strip_ = axes_.reduced.back();
    axes_.reduced.pop_back();
  }

  int64_t units(int64_t rows) const { return product_of(axes_.kept, rows) * blocks_; }
  int64_t results(int64_t rows) const { return product_of(axes_.kept, rows) * line_; }
  int64_t terms(int64_t rows) const {
    return product_of(axes_.reduced, rows) * strip_.size(rows) * block_ * kLanes<T>;
  }
  int64_t result(int64_t unit) const { return unit / blocks_ * line_ + column(unit); }
  Runs runs(int64_t rows) const { return {product_of(axes_.reduced, rows), strip_.size(rows)}; }

  template <class Terms, class Reduction, class Dst>
  void reduce(const Reduction& reduction, Terms base, const Runs& runs, int64_t unit, int64_t first,
              int64_t last, Dst dst) const {
    const int64_t column = this->column(unit);
    const int64_t n = std::min(line_ - column, block_ * kLanes<T>);
    const Terms src = base + (offset_of(axes_.kept, unit / blocks_) + column);
    const int64_t vectors = vectors_of(n, kLanes<T>);
    [&]<int... less>(std::integer_sequence<int, less...>) {
      ((vectors == less + 1 ? block<less + 1>(reduction, src, runs, first, last, dst, n) : void()),
       ...);
    }(std::make_integer_sequence<int, kMost>());
  }

 private:
  int64_t column(int64_t unit) const { return unit % blocks_ * block_ * kLanes<T>; }

  template <int kVectors, class Terms, class Reduction, class Dst>
  void block(const Reduction& reduction, Terms src, const Runs& runs, int64_t first, int64_t last,
             Dst dst, int64_t n) const {
    typename Reduction::Value result[kVectors];
    reduction.reduce(
        result,
        [&](const auto& fold, auto& total) __attribute__((always_inline)) {
          const auto fold_run = [&](int64_t strip, int64_t begin, int64_t lines,
                                    auto& part) __attribute__((always_inline)) {
            const Terms at = src + (offset_of(axes_.reduced, strip) + begin * strip_.stride);
            fold_columns<kVectors, T>(at, lines, strip_.stride, fold, part);
          };
          if (runs.count() == 1) {
            fold_run(0, 0, runs.length, total);
          } else {
            runs.fold(first, last, fold, total, fold_run);
          }
        },
        OwnResults());
    for (int j = 0; j < kVectors; ++j) {
      const int64_t left = n - j * kLanes<T>;
      put(dst + j * kLanes<T>, result[j], std::min<int64_t>(left, kLanes<T>));
    }
  }

  ReductionAxes axes_;
  int64_t line_;
  ReductionAxis strip_;         // the innermost reduced axis
  int64_t blocks_, block_ = 1;  // a line has blocks_ blocks of block_ vectors or fewer
};

}  // namespace slim::SLIM_ISA_NAMESPACE
