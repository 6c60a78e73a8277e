// Stencils: sums of rows and of their neighbours to the left and right, taken out of registers.
#include "cpu/tape/tape_stencils.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "cpu/vec.h"

namespace slim::SLIM_ISA_NAMESPACE {

#if defined(__AVX512F__)

namespace {

constexpr int64_t kInLine = kLanes<float>;

// What a term takes: the elements that lie in their lines of cache as the results in theirs, or
// those to the left or right of them. To load these would be to load across two lines, which
// takes twice the time. The row that most terms take is kept in registers.
enum Taken : int { kAbove, kLeft, kRight, kKept, kScaled = 2 * kKept };

struct Term {
  const float* row;  // above the first row's first result
  float factor;
  int taken;  // one of the first three, + kKept, + kScaled if the factor is not 1
};

// A stencil's terms; first the row to keep, and, if the sum moves a value, last that one.
struct Stencil {
  std::array<Term, kChainTerms + 2> terms = {};
  int count = 1;
  bool moves = false;
  bool begins = false;               // the first term alone is a sum
  bool left = false, right = false;  // somebody takes these of what is kept
};

// Some lines of a row.
struct Lines {
  int64_t at;              // of the first element, from the row's first result on
  int64_t before, behind;  // to the lines where neighbours are; 0 where nobody needs them
  __mmask16 first, last;   // which results there are in the first and the last line
};

template <int from>
SLIM_INLINE F32 join(F32 low, F32 high) {
  return bits_as<F32>(
      _mm512_maskz_alignr_epi32(0xffff, bits_as<__m512i>(high), bits_as<__m512i>(low), from));
}

template <int count, class Value>
SLIM_INLINE void each(F32 (&total)[count], Value value) {
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) total[i] = value(i, total[i]);
}

// Adds what a term takes. Times one it is the same sum: units are free then that only multiply.
template <int count, class Taken>
SLIM_INLINE void add_plain(F32 (&total)[count], F32 factor, Taken taken) {
  each(total,
       [&](int i, F32 sum) { return i % 3 == 0 ? fma(taken(i), factor, sum) : sum + taken(i); });
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
    return join<kInLine - 1>(load(line + kInLine * i + before), above(i));
  };
  const auto right = [&](int i) {
    const int64_t behind = i < count - 1 ? kInLine : lines.behind;
    return join<1>(above(i), load(line + kInLine * i + behind));
  };
  const auto kept_above = [&](int i) { return kept[i + 1]; };
  const auto kept_left = [&](int i) { return join<kInLine - 1>(kept[i], kept[i + 1]); };
  const auto kept_right = [&](int i) { return join<1>(kept[i + 1], kept[i + 2]); };

  const Term* term = &stencil.terms[1];
  const Term* end = &stencil.terms[stencil.count] - (stencil.moves ? 1 : 0);
  line = term->row + at;
  if (stencil.begins) {
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
        add_plain(total, factor, above);
        break;
      case kLeft:
        add_plain(total, factor, left);
        break;
      case kRight:
        add_plain(total, factor, right);
        break;
      case kKept + kAbove:
        add_plain(total, factor, kept_above);
        break;
      case kKept + kLeft:
        add_plain(total, factor, kept_left);
        break;
      case kKept + kRight:
        add_plain(total, factor, kept_right);
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

// Of a row's lines, where the first result is element `lead` of the first. The last lines may be
// computed twice, so that there are as many as a part has.
struct Parts {
  Parts(int64_t lead, int64_t n, int64_t count) {
    const int64_t lines = (lead + n + kInLine - 1) / kInLine;
    const int64_t last = lead + n - (lines - 1) * kInLine;  // results in the last line
    for (int64_t line = 0, next; line < lines; line = next) {
      next = line + count;
      if (next > lines) line = lines - count, next = lines;
      const bool begins = line == 0, ends = next == lines;
      parts[size++] = {.at = line * kInLine - lead,
                       .before = begins && lead > 0 ? 0 : -kInLine,
                       .behind = ends && last < kInLine ? 0 : kInLine,
                       .first = static_cast<__mmask16>(begins ? 0xffff << lead : 0xffff),
                       .last = static_cast<__mmask16>(ends ? 0xffff >> (kInLine - last) : 0xffff)};
    }
  }
  std::array<Lines, kTapeBlock / (4 * kInLine) + 1> parts;
  int size = 0;
};

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
  Term* const first = &stencil.terms[1];
  Term* const end = &stencil.terms[stencil.count] - (sum.moves ? 1 : 0);
  if (sum.moves && end->taken != kAbove) return std::nullopt;
  int64_t most = 0;
  for (Term* one = first; one < end; ++one) {
    const int64_t many =
        std::count_if(one, end, [&](const Term& other) { return other.row == one->row; });
    if (many > most) stencil.terms[0] = *one;
    most = std::max(most, many);
  }
  for (Term* term = first; term < end; ++term) {
    if (term->row == stencil.terms[0].row) {
      stencil.left = stencil.left || term->taken == kLeft;
      stencil.right = stencil.right || term->taken == kRight;
      term->taken += kKept;
    }
    if (term->factor != 1) term->taken += kScaled;
  }
  const auto begins = [](const Term& term) {
    return term.taken == kAbove || term.taken == kKept + kAbove;
  };
  if (begins(first[1])) std::swap(first[0], first[1]);  // which is the same sum
  stencil.begins = begins(first[0]);
  return stencil;
}

}  // namespace

bool sum_rows(const SumRows& sum) {
  constexpr int64_t kFew = 4, kMany = 8, kSize = sizeof(float);
  if (sum.n < kFew * kInLine) return false;
  const std::optional<Stencil> stencil = read_stencil(sum);
  if (!stencil) return false;

  const bool many = sum.n >= kMany * kInLine;
  const auto sum_part = many ? &sum_lines<kMany> : &sum_lines<kFew>;
  const int64_t count = many ? kMany : kFew;
  float* dst = reinterpret_cast<float*>(sum.dst);
  const auto lead_of = [](const float* at) {
    return static_cast<int64_t>(reinterpret_cast<uintptr_t>(at) % kVectorBytes / sizeof(float));
  };
  int64_t lead = lead_of(dst);
  Parts parts(lead, sum.n, count);
  for (int64_t row = 0; row < sum.rows; ++row) {
    const int64_t from = row * sum.step / kSize;
    if (lead_of(dst + from) != lead) {
      lead = lead_of(dst + from);
      parts = Parts(lead, sum.n, count);
    }
    if (lead == kInLine - 1) {  // the first line of what a neighbour comes from may be nobody's
      const std::byte* src[kChainOperands];
      const size_t operands = 2 * (sum.terms + (sum.moves ? 1 : 0));
      for (size_t i = 0; i < operands; ++i) src[i] = sum.src[i] + (i % 2 == 0 ? row * sum.step : 0);
      std::byte* at = sum.dst + row * sum.step;
      sum_kernel<float>(sum.terms, sum.moves)(&at, src, sum.n);
      continue;
    }
    for (int i = 0; i < parts.size; ++i) {
      const Lines& lines = parts.parts[i];
      sum_part(*stencil, lines, from + lines.at, dst + from + lines.at);
    }
  }
  return true;
}

#else

bool sum_rows(const SumRows&) { return false; }

#endif

}  // namespace slim::SLIM_ISA_NAMESPACE
