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

// Neighbours in memory become one: [kept, line]. Terms: const T*, or Squares<T> of the operand,
// or Products<T> of two.
template <class T, class Terms, class Reduction>
class Lines {
 public:
  static constexpr bool kShort = true;

  explicit Lines(ReductionAxes axes) : axes_(std::move(axes)) {}

  int64_t units(int64_t rows) const { return product_of(axes_.kept, rows); }
  int64_t results(int64_t rows) const { return units(rows); }
  int64_t terms(int64_t rows) const {  // of a unit
    return product_of(axes_.reduced, rows) * axes_.line.size(rows);
  }
  int64_t result(int64_t unit) const { return unit; }  // the first of a unit
  Runs<kLineRun<T>> runs(int64_t rows) const {
    return {product_of(axes_.reduced, rows), axes_.line.size(rows)};
  }

  void reduce(Terms base, const Runs<kLineRun<T>>& runs, int64_t unit, int64_t first, int64_t last,
              T* dst) const {
    const Terms src = base + offset_of(axes_.kept, unit);
    one(
        [&](const auto& fold, Vec<T>(&partial)[1]) [[gnu::always_inline]] {
          runs.fold(first, last, fold, partial,
                    [&](int64_t line, int64_t begin, int64_t n, Vec<T>(&part)[1])
                        [[gnu::always_inline]] {
                          const Terms at = src + (offset_of(axes_.reduced, line) + begin);
                          part[0] = fold_line<T>(at, n, fold[0]);
                        });
        },
        dst);
  }

  // Units of one run each: what a row's few terms cost is mostly the way to them.
  void reduce_short(Terms base, int64_t unit, int64_t last, int64_t rows, T* dst) const {
    const int64_t n = axes_.line.size(rows);
    for (; unit < last; ++unit) {
      const Terms src = base + offset_of(axes_.kept, unit);
      one([&](const auto& fold, Vec<T>(&partial)[1])
              [[gnu::always_inline]] { partial[0] = fold_line<T>(src, n, fold[0]); },
          dst + unit);
    }
  }

 private:
  template <class Walk>
  SLIM_INLINE static void one(Walk walk, T* dst) {
    Vec<T> result[1];
    Reduction::reduce(result, walk, [](Vec<T> v, const auto& fold) [[gnu::always_inline]] {
      return fold_all(v, [&](Vec<T> a, Vec<T> b) { return fold.merge(a, b); });
    });
    *dst = result[0][0];
  }

  ReductionAxes axes_;
};

// Lines become one line: [kept, reduced, line], the line cut into blocks of whole vectors.
template <class T, class Terms, class Reduction>
class Columns {
  static constexpr int kMost = Reduction::kMost;

 public:
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
  Runs<kColumnRun> runs(int64_t rows) const {
    return {product_of(axes_.reduced, rows), strip_.size(rows)};
  }

  void reduce(Terms base, const Runs<kColumnRun>& runs, int64_t unit, int64_t first, int64_t last,
              T* dst) const {
    const int64_t column = this->column(unit);
    const int64_t n = std::min(line_ - column, block_ * kLanes<T>);
    const Terms src = base + (offset_of(axes_.kept, unit / blocks_) + column);
    dispatch(src, runs, first, last, dst, n, std::make_integer_sequence<int, kMost>());
  }

 private:
  int64_t column(int64_t unit) const { return unit % blocks_ * block_ * kLanes<T>; }

  template <int... less>
  void dispatch(Terms src, const Runs<kColumnRun>& runs, int64_t first, int64_t last, T* dst,
                int64_t n, std::integer_sequence<int, less...>) const {
    const int64_t vectors = vectors_of(n, kLanes<T>);
    ((vectors == less + 1 ? block<less + 1>(src, runs, first, last, dst, n) : void()), ...);
  }

  template <int kVectors>
  void block(Terms src, const Runs<kColumnRun>& runs, int64_t first, int64_t last, T* dst,
             int64_t n) const {
    Vec<T> result[kVectors];
    Reduction::reduce(
        result,
        [&](const auto& fold, Vec<T>(&total)[kVectors]) [[gnu::always_inline]] {
          const auto fold_run = [&](int64_t strip, int64_t begin, int64_t lines,
                                    Vec<T>(&part)[kVectors]) [[gnu::always_inline]] {
            const Terms at = src + (offset_of(axes_.reduced, strip) + begin * strip_.stride);
            fold_columns<kVectors, T>(at, lines, strip_.stride, fold, part);
          };
          if (runs.count() == 1) {
            fold_run(0, 0, runs.length, total);
          } else {
            runs.fold(first, last, fold, total, fold_run);
          }
        },
        [](Vec<T> v, const auto&) { return v; });
    for (int j = 0; j < kVectors; ++j) {
      const int64_t left = n - j * kLanes<T>;
      store_first(dst + j * kLanes<T>, result[j], std::min<int64_t>(left, kLanes<T>));
    }
  }

  ReductionAxes axes_;
  int64_t line_;
  ReductionAxis strip_;         // the innermost reduced axis
  int64_t blocks_, block_ = 1;  // a line has blocks_ blocks of block_ vectors or fewer
};

}  // namespace slim::SLIM_ISA_NAMESPACE
