// A sum of rows and of their neighbours to the left and right, as terms over lines of cache.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "cpu/tape/tape_chains.h"
#include "cpu/vec.h"

namespace slim::SLIM_ISA_NAMESPACE {

#if defined(__AVX512F__)

inline constexpr int64_t kInLine = kLanes<float>;

// What a term takes: the elements that lie in their lines as the results in theirs, or those to
// the left or right of them. To load these would be to load across two lines, which takes twice
// the time. The row that most terms take is kept in registers.
enum Taken : int { kAbove, kLeft, kRight, kKept, kScaled = 2 * kKept };

struct StencilTerm {
  const float* row;  // above the first row's first result
  float factor;
  int taken;  // one of the first three, + kKept, + kScaled if the factor is not 1
};

// First the row to keep, then the terms, of which the first can begin if its factor is 1; and, if
// the sum moves a value, last that one.
struct Stencil {
  std::array<StencilTerm, kChainTerms + 2> terms = {};
  int count = 1;
  bool moves = false;
  bool left = false, right = false;  // somebody takes these of what is kept
  // A row is taken so alone, so that the line of its last or first result may hold none of it.
  bool only_left = false, only_right = false;
};

// How a row of results lies in lines.
struct StencilRow {
  int64_t lead;  // elements of the first line before the first result
  int64_t lines;
  int64_t before, behind;  // to the lines where neighbours are; 0 where nobody needs them
  uint16_t first, last;    // which results there are in the first and the last line
};

template <int from>
SLIM_INLINE F32 join_lines(F32 low, F32 high) {
  return (F32)_mm512_maskz_alignr_epi32(0xffff, (__m512i)high, (__m512i)low, from);
}

SLIM_INLINE F32 to_the_left(F32 before, F32 line) { return join_lines<kInLine - 1>(before, line); }
SLIM_INLINE F32 to_the_right(F32 line, F32 behind) { return join_lines<1>(line, behind); }

// Times one a product is what it was: units are free then that only multiply.
template <bool multiplies>
SLIM_INLINE F32 add_plain(F32 total, F32 value, F32 one) {
  return multiplies ? fma(value, one, total) : total + value;
}

// So many rows, `step` elements from each other, that lie alike.
using StencilKernel = void (*)(const Stencil& stencil, const StencilRow& row, float* dst,
                               int64_t step, int64_t rows);

// For sums of a cross in the orders in which people write them; null: none. The first two terms
// may change places, which is the same sum.
StencilKernel cross_kernel(Stencil& stencil);

#endif

}  // namespace slim::SLIM_ISA_NAMESPACE
