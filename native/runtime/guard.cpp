// Passes over flat gradients, written so that the compiler makes vectors of them.
#include "runtime/guard.h"

#include <cstring>

namespace slim {
namespace {

template <class Word>
bool exponents_below(const std::byte* data, int64_t count, Word mask) {
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

template <class T>
double squares(const std::byte* data, int64_t count) {
  constexpr int kLanes = 8;
  double sums[kLanes] = {};
  const T* values = reinterpret_cast<const T*>(data);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const double value = static_cast<double>(values[i + lane]);
      sums[lane] += value * value;
    }
  }
  for (int lane = 0; i < count; ++i, ++lane) {
    sums[lane] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

template <class T>
void clip(std::byte* data, int64_t count, T limit) {
  T* values = reinterpret_cast<T*>(data);
  for (int64_t i = 0; i < count; ++i) {
    const T value = values[i];
    values[i] = value > limit ? limit : value < -limit ? -limit : value;
  }
}

}  // namespace

bool all_finite(const std::byte* data, int64_t count, DType dtype) {
  if (dtype == DType::f32) return exponents_below<uint32_t>(data, count, 0x7f800000u);
  return exponents_below<uint64_t>(data, count, 0x7ff0000000000000u);
}

double sum_of_squares(const std::byte* data, int64_t count, DType dtype) {
  return dtype == DType::f32 ? squares<float>(data, count) : squares<double>(data, count);
}

void clip_values(std::byte* data, int64_t count, DType dtype, double limit) {
  if (dtype == DType::f32) {
    clip<float>(data, count, static_cast<float>(limit));
  } else {
    clip<double>(data, count, limit);
  }
}

}  // namespace slim
