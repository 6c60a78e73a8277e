// Stencils: sums of rows and of their neighbours to the left and right, taken out of registers.
#include "cpu/tape/tape_stencils.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "cpu/tape/stencil.h"
#include "cpu/vec.h"

namespace slim::SLIM_ISA_NAMESPACE {

#if defined(__AVX512F__)

namespace {

constexpr uint16_t kWhole = 0xffff;

// Some lines of a row.
struct Lines {
  int64_t before, behind;  // as of StencilRow
  uint16_t first, last;
};

bool can_begin(const StencilTerm& term) {
  return term.taken == kAbove || term.taken == kKept + kAbove;
}

template <int count, class Value>
SLIM_INLINE void each(F32 (&total)[count], Value value) {
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) total[i] = value(i, total[i]);
}

template <int count, class Taken>
SLIM_INLINE void add_each(F32 (&total)[count], F32 one, Taken taken) {
  each(total, [&](int i, F32 sum) {
    return i % 3 == 0 ? add_plain<true>(sum, taken(i), one) : add_plain<false>(sum, taken(i), one);
  });
}

template <int count, class Taken>
SLIM_INLINE void add_scaled(F32 (&total)[count], F32 factor, Taken taken) {
  each(total, [&](int i, F32 sum) { return sum + taken(i) * factor; });
}

// Term by term, so that any order of them is one program: to ask what a term is costs little for
// so many lines.
template <int count>
[[gnu::noinline]] void sum_lines(const Stencil& stencil, const Lines& lines, int64_t at,
                                 float* dst) {
  constexpr int64_t kBehind = kInLine * (count - 1);
  F32 kept[count + 2], total[count];
  const float* line = stencil.terms[0].row + at;
  kept[0] = load(line + (stencil.left ? lines.before : 0));
  kept[count + 1] = load(line + kBehind + (stencil.right ? lines.behind : 0));
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) kept[i + 1] = load(line + kInLine * i);

  const auto above = [&](int i) { return load(line + kInLine * i); };
  const auto left = [&](int i) {
    const int64_t before = i > 0 ? -kInLine : lines.before;
    return to_the_left(load(line + kInLine * i + before), above(i));
  };
  const auto right = [&](int i) {
    const int64_t behind = i < count - 1 ? kInLine : lines.behind;
    return to_the_right(above(i), load(line + kInLine * i + behind));
  };
  const auto kept_above = [&](int i) { return kept[i + 1]; };
  const auto kept_left = [&](int i) { return to_the_left(kept[i], kept[i + 1]); };
  const auto kept_right = [&](int i) { return to_the_right(kept[i + 1], kept[i + 2]); };

  const StencilTerm* term = &stencil.terms[1];
  const StencilTerm* end = &stencil.terms[stencil.count] - (stencil.moves ? 1 : 0);
  line = term->row + at;
  if (can_begin(*term)) {
    each(total, [&](int i, F32) { return above(i); });
    ++term;
  } else {
    each(total, [](int, F32) { return broadcast<F32>(-0.0f); });  // changes no number
  }
  for (; term < end; ++term) {
    line = term->row + at;
    const F32 factor = broadcast<F32>(term->factor);
    switch (term->taken) {
      case kAbove:
        add_each(total, factor, above);
        break;
      case kLeft:
        add_each(total, factor, left);
        break;
      case kRight:
        add_each(total, factor, right);
        break;
      case kKept + kAbove:
        add_each(total, factor, kept_above);
        break;
      case kKept + kLeft:
        add_each(total, factor, kept_left);
        break;
      case kKept + kRight:
        add_each(total, factor, kept_right);
        break;
      case kScaled + kAbove:
        add_scaled(total, factor, above);
        break;
      case kScaled + kLeft:
        add_scaled(total, factor, left);
        break;
      case kScaled + kRight:
        add_scaled(total, factor, right);
        break;
      case kScaled + kKept + kAbove:
        add_scaled(total, factor, kept_above);
        break;
      case kScaled + kKept + kLeft:
        add_scaled(total, factor, kept_left);
        break;
      case kScaled + kKept + kRight:
        add_scaled(total, factor, kept_right);
        break;
      default:
        __builtin_unreachable();
    }
  }
  if (stencil.moves) {
    line = end->row + at;
    const F32 factor = broadcast<F32>(end->factor);
    if (line == stencil.terms[0].row + at) {
      each(total, [&](int i, F32 sum) { return kept_above(i) + sum * factor; });
    } else {
      each(total, [&](int i, F32 sum) { return above(i) + sum * factor; });
    }
  }
  const auto put = [&](float* to, F32 value, __mmask16 results) {
    if (results == 0xffff) {
      store(to, value);
    } else {
      _mm512_mask_storeu_ps(to, results, bits_as<__m512>(value));
    }
  };
  put(dst, total[0], lines.first);
#pragma GCC unroll 8
  for (int i = 1; i < count - 1; ++i) store(dst + kInLine * i, total[i]);
  put(dst + kBehind, total[count - 1], lines.last);
}

// The last lines of a row may be computed twice, so that there are `count`.
template <int count>
void sum_terms(const Stencil& stencil, const StencilRow& row, float* dst, int64_t step,
               int64_t rows) {
  for (int64_t from = 0; from < rows * step; from += step) {
    for (int64_t line = 0, next; line < row.lines; line = next) {
      next = line + count;
      if (next > row.lines) line = row.lines - count, next = row.lines;
      const bool begins = line == 0, ends = next == row.lines;
      const int64_t at = from + line * kInLine - row.lead;
      const Lines lines{begins ? row.before : -kInLine, ends ? row.behind : kInLine,
                        begins ? row.first : kWhole, ends ? row.last : kWhole};
      sum_lines<count>(stencil, lines, at, dst + at);
    }
  }
}

std::optional<Stencil> read_stencil(const SumRows& sum) {
  constexpr int64_t kLine = kVectorBytes, kSize = sizeof(float);
  Stencil stencil;
  stencil.moves = sum.moves;
  for (size_t i = 0; i < sum.terms + (sum.moves ? 1 : 0); ++i) {
    const std::byte* src = sum.src[2 * i];
    const auto past = static_cast<int64_t>(
        (reinterpret_cast<uintptr_t>(src) - reinterpret_cast<uintptr_t>(sum.dst)) % kLine);
    const bool above = past == 0, right = past == kSize, left = past == kLine - kSize;
    // What is computed twice must not have been replaced.
    if ((!above && !right && !left) || src == sum.dst) return std::nullopt;
    stencil.terms[stencil.count++] = {
        reinterpret_cast<const float*>(src) + (left ? 1 : 0) - (right ? 1 : 0),
        *reinterpret_cast<const float*>(sum.src[2 * i + 1]),
        above   ? kAbove
        : right ? kRight
                : kLeft};
  }
  StencilTerm* const first = &stencil.terms[1];
  StencilTerm* const end = &stencil.terms[stencil.count] - (sum.moves ? 1 : 0);
  if (sum.moves && end->taken != kAbove) return std::nullopt;
  int64_t most = 0;
  for (StencilTerm* one = first; one < end; ++one) {
    const int64_t many =
        std::count_if(one, end, [&](const StencilTerm& other) { return other.row == one->row; });
    if (many > most) stencil.terms[0] = *one;
    most = std::max(most, many);
  }
  for (StencilTerm* term = first; term < end; ++term) {
    const auto alone = [&](Taken taken) {
      return term->taken == taken && std::none_of(first, end, [&](const StencilTerm& other) {
               return other.row == term->row && other.taken % kKept != taken;
             });
    };
    stencil.only_left = stencil.only_left || alone(kLeft);
    stencil.only_right = stencil.only_right || alone(kRight);
    if (term->row == stencil.terms[0].row) {
      stencil.left = stencil.left || term->taken == kLeft;
      stencil.right = stencil.right || term->taken == kRight;
      term->taken += kKept;
    }
    if (term->factor != 1) term->taken += kScaled;
  }
  if (can_begin(first[1])) std::swap(first[0], first[1]);  // which is the same sum
  return stencil;
}

void one_by_one(const SumRows& sum, int64_t row, int64_t rows) {
  const size_t operands = 2 * (sum.terms + (sum.moves ? 1 : 0));
  const std::byte* src[kChainOperands];
  for (; rows > 0; --rows, ++row) {
    std::byte* dst = sum.dst + row * sum.step;
    for (size_t i = 0; i < operands; ++i) src[i] = sum.src[i] + (i % 2 == 0 ? row * sum.step : 0);
    sum_kernel<float>(sum.terms, sum.moves)(&dst, src, sum.n);
  }
}

StencilRow row_at(const float* dst, int64_t n) {
  const auto bytes = reinterpret_cast<uintptr_t>(dst) % kVectorBytes;
  StencilRow row;
  row.lead = static_cast<int64_t>(bytes / sizeof(float));
  row.lines = (row.lead + n + kInLine - 1) / kInLine;
  const int64_t last = row.lead + n - (row.lines - 1) * kInLine;  // results in the last line
  row.before = row.lead > 0 ? 0 : -kInLine;
  row.behind = last < kInLine ? 0 : kInLine;
  row.first = static_cast<uint16_t>(kWhole << row.lead);
  row.last = static_cast<uint16_t>(kWhole >> (kInLine - last));
  return row;
}

}  // namespace

bool sum_rows(const SumRows& sum) {
  constexpr int64_t kFew = 4, kMany = 8, kSize = sizeof(float);
  if (sum.n < kFew * kInLine) return false;
  std::optional<Stencil> stencil = read_stencil(sum);
  if (!stencil) return false;
  StencilKernel kernel = cross_kernel(*stencil);
  if (kernel == nullptr) {
    kernel = sum.n >= kMany * kInLine ? &sum_terms<kMany> : &sum_terms<kFew>;
  }
  float* dst = reinterpret_cast<float*>(sum.dst);
  const int64_t step = sum.step / kSize, alike = step % kInLine == 0 ? sum.rows : 1;
  for (int64_t done = 0; done < sum.rows; done += alike) {
    const StencilRow row = row_at(dst, sum.n);
    // What a line has none of may be nobody's to load.
    if ((row.lead == kInLine - 1 && stencil->only_right) || (row.last == 1 && stencil->only_left)) {
      one_by_one(sum, done, alike);
    } else {
      kernel(*stencil, row, dst, step, alike);
    }
    dst += alike * step;
    for (int i = 0; i < stencil->count; ++i) stencil->terms[i].row += alike * step;
  }
  return true;
}

#else

bool sum_rows(const SumRows&) { return false; }

#endif

}  // namespace slim::SLIM_ISA_NAMESPACE
