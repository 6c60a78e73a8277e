// Axes of a reduction, merged until kept and reduced ones alternate, and the way over them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cpu/split.h"

namespace slim::SLIM_ISA_NAMESPACE {

struct ReductionAxis {
  Count size;
  int64_t stride = 0;  // elements
};

// The innermost axis is `line`; the others by kind, outermost first. Where rows lie apart, in
// the operand or in a result of whole lines, the last axis is the line, alone.
struct ReductionAxes {
  ReductionAxis line{{1, 0}, 1};
  bool line_reduced = true;
  bool over_batch = false;  // the leading axis is reduced: no result belongs to one row
  std::vector<ReductionAxis> kept, reduced;

  ReductionAxes(const Buffer& src, const std::vector<Buffer>& dst,
                const std::vector<bool>& is_reduced) {
    const bool stores_apart = std::any_of(
        dst.begin(), dst.end(), [](const Buffer& buffer) { return buffer.row_stride > 0; });
    const bool apart = src.row_stride > 0 || (stores_apart && keeps_line(src, is_reduced));
    struct Run {
      ReductionAxis axis;
      bool reduced;
    };
    std::vector<Run> runs;
    int64_t stride = 1;
    for (size_t i = src.dims.size(); i-- > 0;) {
      const Count size = count_of(src, i, i + 1);
      const bool line_apart = apart && i + 1 == src.dims.size();
      if (size.per_row == 0 && size.fixed == 1 && !line_apart) continue;
      const bool first = runs.size() <= (apart ? 1u : 0u);
      if (!first && runs.back().reduced == is_reduced[i]) {
        Count& merged = runs.back().axis.size;  // of inner axes, which have no per_row
        merged = {merged.fixed * size.fixed, merged.fixed * size.per_row};
      } else {
        runs.push_back({{size, stride}, is_reduced[i]});
      }
      stride = line_apart ? src.row() : stride * size.fixed;
    }
    over_batch = !is_reduced.empty() && is_reduced[0];
    if (runs.empty()) return;
    line = runs[0].axis;
    line_reduced = runs[0].reduced;
    for (size_t i = runs.size(); i-- > 1;) {
      (runs[i].reduced ? reduced : kept).push_back(runs[i].axis);
    }
  }

 private:
  // Whether the last axis is kept, or those behind a kept one have one element each.
  static bool keeps_line(const Buffer& src, const std::vector<bool>& is_reduced) {
    if (!is_reduced.back()) return true;
    for (size_t i = src.dims.size(); i-- > 0;) {
      const Count size = count_of(src, i, i + 1);
      if (size.per_row > 0 || size.fixed != 1) return !is_reduced[i];
    }
    return false;
  }
};

inline int64_t product_of(const std::vector<ReductionAxis>& axes, int64_t rows) {
  int64_t n = 1;
  for (const ReductionAxis& axis : axes) n *= axis.size(rows);
  return n;
}

// Elements before the index-th of all combinations. The outermost axis takes what is left,
// so only inner ones, which are fixed, divide.
inline int64_t offset_of(const std::vector<ReductionAxis>& axes, int64_t index) {
  int64_t offset = 0;
  for (size_t i = axes.size(); i-- > 0;) {
    const int64_t size = axes[i].size.fixed;
    offset += (i == 0 ? index : index % size) * axes[i].stride;
    if (i > 0) index /= size;
  }
  return offset;
}

// Neighbours of a line that are folded apart, in vectors; lines of a column that are.
inline constexpr int64_t kLineVectors = 512;
inline constexpr int64_t kColumnRun = 128;

// How a reduction goes over its operand, [kept, reduced, strip] with one result or
// [kept, reduced, strip, line] with a line of them; reduction_walks.h has the two loops.
struct Walk {
  bool leads = false;  // the leading axis is the outermost kept one
  bool lines = true;   // of neighbours in memory, which become one: there is no line of results
  std::vector<ReductionAxis> kept, reduced;
  ReductionAxis strip;            // the innermost reduced axis
  int64_t run = 1;                // so much of it is folded apart
  int64_t line = 1;               // results that lie together
  int64_t blocks = 1, width = 1;  // a line has `blocks` blocks of `width` results or fewer

  // A unit is what one task folds at least: a block.
  int64_t units(int64_t rows) const { return product_of(kept, rows) * blocks; }
  int64_t results(int64_t rows) const { return product_of(kept, rows) * line; }
  int64_t column(int64_t unit) const { return unit % blocks * width; }
  int64_t result(int64_t unit) const { return unit / blocks * line + column(unit); }
  int64_t terms(int64_t rows) const {  // of a unit
    return product_of(reduced, rows) * strip.size(rows) * width;
  }
  int64_t runs(int64_t rows) const {
    return product_of(reduced, rows) * ((strip.size(rows) + run - 1) / run);
  }
};

}  // namespace slim::SLIM_ISA_NAMESPACE
