// Stencils of a cross whose order is known when it is compiled.
#include <algorithm>
#include <array>
#include <utility>

#include "cpu/tape/stencil.h"

namespace slim::SLIM_ISA_NAMESPACE {

#if defined(__AVX512F__)

namespace {

constexpr int kCross = 5;

// Of what is kept: a line, and its neighbours.
struct Kept {
  F32 before, here, behind;
};

template <int taken>
SLIM_INLINE F32 take(const Kept& kept, const float* above) {
  if constexpr (taken == kAbove) return load(above);
  if constexpr (taken == kKept + kLeft) return to_the_left(kept.before, kept.here);
  if constexpr (taken == kKept + kRight) return to_the_right(kept.here, kept.behind);
  return kept.here;
}

template <int... taken, int... place>
SLIM_INLINE F32 sum_line(const Kept& kept, const float* const* row, const F32* factor, bool moves,
                         int64_t at, std::integer_sequence<int, place...>) {
  F32 total;
  const auto add = [&]<int one, int i>() {
    const F32 value = take<one % kScaled>(kept, row[i] + at);
    if constexpr (i == 0) {
      total = value;
    } else if constexpr (one >= kScaled) {
      total = total + value * factor[i];
    } else {
      total = add_plain<i == 3>(total, value, factor[i]);
    }
  };
  (add.template operator()<taken, place>(), ...);
  return moves ? kept.here + total * factor[kCross] : total;
}

// Loaded once. (A plain load would be made twice where numbers are joined as bits.)
SLIM_INLINE F32 load_once(const float* src) { return (F32)_mm512_maskz_loadu_ps(0xffff, src); }

template <int... taken>
void sum_cross(const Stencil& stencil, const StencilRow& lines, float* dst, int64_t step,
               int64_t rows) {
  const float* row[kCross];
  F32 factor[kCross + 1];
#pragma GCC unroll 5
  for (int i = 0; i < kCross; ++i) {
    row[i] = stencil.terms[i + 1].row - lines.lead;
    factor[i] = broadcast<F32>(stencil.terms[i + 1].factor);
  }
  factor[kCross] = broadcast<F32>(stencil.terms[kCross + 1].factor);
  const float* middle = stencil.terms[0].row - lines.lead;
  const bool moves = stencil.moves;
  const int64_t last = (lines.lines - 1) * kInLine;
  dst -= lines.lead;
  for (; rows > 0; --rows) {
    Kept kept{load(middle + lines.before), load(middle), load_once(middle + kInLine)};
    const auto sum = [&](int64_t at) {
      constexpr std::make_integer_sequence<int, kCross> kPlaces;
      return sum_line<taken...>(kept, row, factor, moves, at, kPlaces);
    };
    _mm512_mask_storeu_ps(dst, lines.first, (__m512)sum(0));
    int64_t at = kInLine;
    for (; at < last; at += kInLine) {
      kept = {kept.here, kept.behind, load_once(middle + at + kInLine)};
      store(dst + at, sum(at));
    }
    kept = {kept.here, kept.behind, load_once(middle + at + lines.behind)};
    _mm512_mask_storeu_ps(dst + at, lines.last, (__m512)sum(at));
    dst += step;
    middle += step;
#pragma GCC unroll 5
    for (int i = 0; i < kCross; ++i) row[i] += step;
  }
}

struct Order {
  std::array<int, kCross> taken;
  StencilKernel kernel;
};

template <int... taken>
constexpr Order order() {
  return {{taken...}, &sum_cross<taken...>};
}

constexpr int kMiddle = kScaled + kKept + kAbove, kWest = kKept + kLeft, kEast = kKept + kRight;

// The first two are one sum in either order.
constexpr Order kOrders[] = {
    order<kAbove, kAbove, kEast, kWest, kMiddle>(), order<kAbove, kAbove, kWest, kEast, kMiddle>(),
    order<kEast, kWest, kAbove, kAbove, kMiddle>(), order<kAbove, kEast, kAbove, kWest, kMiddle>(),
    order<kAbove, kWest, kAbove, kEast, kMiddle>(), order<kAbove, kEast, kWest, kAbove, kMiddle>(),
    order<kAbove, kWest, kEast, kAbove, kMiddle>(), order<kAbove, kWest, kMiddle, kEast, kAbove>(),
    order<kAbove, kMiddle, kAbove, kEast, kWest>(), order<kAbove, kMiddle, kAbove, kWest, kEast>(),
};

}  // namespace

StencilKernel cross_kernel(Stencil& stencil) {
  StencilTerm* terms = &stencil.terms[1];
  if (stencil.count != 1 + kCross + (stencil.moves ? 1 : 0)) return nullptr;
  if (stencil.moves && terms[kCross].row != stencil.terms[0].row) return nullptr;
  for (int turn = 0; turn < 2; ++turn) {
    for (const Order& order : kOrders) {
      if (std::equal(order.taken.begin(), order.taken.end(), terms,
                     [](int taken, const StencilTerm& term) { return term.taken == taken; }))
        return order.kernel;
    }
    std::swap(terms[0], terms[1]);
  }
  return nullptr;
}

#endif

}  // namespace slim::SLIM_ISA_NAMESPACE
