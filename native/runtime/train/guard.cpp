// Passes over flat gradients, written so that the compiler makes vectors of them.
#include "runtime/train/guard.h"

#include <bit>
#include <cstring>
#include <limits>

// Compiled once per instruction-set level; the loader takes the best that runs.
#if defined(__x86_64__) && !defined(SLIM_SANITIZE)
#define SLIM_CLONES [[gnu::target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")]]
#else
#define SLIM_CLONES
#endif

namespace slim {
namespace {

template <class Word>
[[gnu::always_inline]] inline bool exponents_below(const std::byte* data, int64_t count,
                                                   Word mask) {
  constexpr int64_t kRun = 1024;
  for (int64_t begin = 0; begin < count; begin += kRun) {
    const int64_t end = begin + kRun < count ? begin + kRun : count;
    Word bad = 0;
    for (int64_t i = begin; i < end; ++i) {
      Word word;
      std::memcpy(&word, data + i * static_cast<int64_t>(sizeof(Word)), sizeof(Word));
      bad |= static_cast<Word>((word & mask) == mask);
    }
    if (bad) return false;
  }
  return true;
}

// Whether the bits of each f64, its sign aside, are at most `largest`.
[[gnu::always_inline]] inline bool magnitudes_within(const std::byte* data, int64_t count,
                                                     uint64_t largest) {
  constexpr int64_t kRun = 1024;
  for (int64_t begin = 0; begin < count; begin += kRun) {
    const int64_t end = begin + kRun < count ? begin + kRun : count;
    uint64_t bad = 0;
    for (int64_t i = begin; i < end; ++i) {
      uint64_t word;
      std::memcpy(&word, data + i * static_cast<int64_t>(sizeof word), sizeof word);
      bad |= static_cast<uint64_t>((word & (~uint64_t{0} >> 1)) > largest);
    }
    if (bad) return false;
  }
  return true;
}

// Eight running sums in one order on every level.
template <class T>
[[gnu::always_inline]] inline double squares(const std::byte* data, int64_t count) {
  constexpr int kLanes = 8;
  typedef double Sums __attribute__((vector_size(kLanes * sizeof(double))));
  typedef T Values __attribute__((vector_size(kLanes * sizeof(T))));
  Sums sums = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Values values;
    std::memcpy(&values, data + i * static_cast<int64_t>(sizeof(T)), sizeof values);
    const Sums wide = __builtin_convertvector(values, Sums);
    sums += wide * wide;
  }
  for (int lane = 0; i < count; ++i, ++lane) {
    T value;
    std::memcpy(&value, data + i * static_cast<int64_t>(sizeof(T)), sizeof value);
    sums[lane] += static_cast<double>(value) * static_cast<double>(value);
  }
  double total = 0;
  for (int lane = 0; lane < kLanes; ++lane) total += sums[lane];
  return total;
}

template <class T>
[[gnu::always_inline]] inline void clip(std::byte* data, int64_t count, T limit) {
  T* values = reinterpret_cast<T*>(data);
  for (int64_t i = 0; i < count; ++i) {
    const T value = values[i];
    values[i] = value > limit ? limit : value < -limit ? -limit : value;
  }
}

template <class T>
[[gnu::always_inline]] inline void add(std::byte* dst, const std::byte* src, int64_t count) {
  T* sums = reinterpret_cast<T*>(dst);
  const T* values = reinterpret_cast<const T*>(src);
  for (int64_t i = 0; i < count; ++i) sums[i] += values[i];
}

// In the order and the rounding of the sums that an update without clipping makes.
template <class T>
[[gnu::always_inline]] inline void penalise(std::byte* gradient, const std::byte* weights,
                                            int64_t count, T l1, T l2) {
  T* sums = reinterpret_cast<T*>(gradient);
  const T* values = reinterpret_cast<const T*>(weights);
  for (int64_t i = 0; i < count; ++i) {
    const T value = values[i];
    const T sign = static_cast<T>(static_cast<T>(value > 0) - static_cast<T>(value < 0));
    sums[i] = (sums[i] + sign * l1) + value * l2;
  }
}

}  // namespace

SLIM_CLONES bool all_finite(const std::byte* data, int64_t count, DType dtype) {
  if (dtype == DType::f32) return exponents_below<uint32_t>(data, count, 0x7f800000u);
  return exponents_below<uint64_t>(data, count, 0x7ff0000000000000u);
}

SLIM_CLONES bool fits_f32(const std::byte* data, int64_t count) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return magnitudes_within(data, count, std::bit_cast<uint64_t>(kLargest));
}

SLIM_CLONES double sum_of_squares(const std::byte* data, int64_t count, DType dtype) {
  return dtype == DType::f32 ? squares<float>(data, count) : squares<double>(data, count);
}

Penalty penalty_in(const std::byte* place) {
  Penalty penalty;
  std::memcpy(&penalty, place, sizeof penalty);
  return penalty;
}

SLIM_CLONES void add_penalty(std::byte* gradient, const std::byte* weights, int64_t count,
                             DType dtype, Penalty penalty) {
  if (dtype == DType::f32) {
    penalise<float>(gradient, weights, count, static_cast<float>(penalty.l1),
                    static_cast<float>(penalty.l2));
  } else {
    penalise<double>(gradient, weights, count, penalty.l1, penalty.l2);
  }
}

SLIM_CLONES void add_values(std::byte* dst, const std::byte* src, int64_t count, DType dtype) {
  return dtype == DType::f32 ? add<float>(dst, src, count) : add<double>(dst, src, count);
}

SLIM_CLONES void clip_values(std::byte* data, int64_t count, DType dtype, double limit) {
  if (dtype == DType::f32) {
    clip<float>(data, count, static_cast<float>(limit));
  } else {
    clip<double>(data, count, limit);
  }
}

}  // namespace slim
