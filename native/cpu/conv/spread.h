// Vectors over outputs of which several read one channel.
#pragma once

#include <vector>

#include "cpu/vec.h"

namespace slim::SLIM_ISA_NAMESPACE {

// Lane i is v[from[i]].
template <class V>
SLIM_INLINE V permute(V v, Mask<V> from) {
#if defined(__AVX512F__)
  if constexpr (sizeof(Lane<V>) == 4) {
    return (V)_mm512_maskz_permutexvar_ps(0xffff, (__m512i)from, (__m512)v);
  } else {
    return (V)_mm512_maskz_permutexvar_pd(0xff, (__m512i)from, (__m512d)v);
  }
#else
#if defined(__AVX2__)
  if constexpr (sizeof(Lane<V>) == 4) {
    return (V)_mm256_permutevar8x32_ps((__m256)v, (__m256i)from);
  }
#endif
  V to;
  for (int i = 0; i < kLanes<Lane<V>>; ++i) to[i] = v[from[i]];
  return to;
#endif
}

// Output number o reads channel o / multiplier; a vector of outputs, the channels from that of
// its first.
template <class T>
class Spread {
 public:
  explicit Spread(int64_t multiplier) : multiplier_(multiplier) {
    for (int64_t first = 0; first < multiplier; ++first) {
      Mask<Vec<T>> from;
      for (int i = 0; i < kLanes<T>; ++i) {
        from[i] = static_cast<Lane<Mask<Vec<T>>>>((first + i) / multiplier);
      }
      from_.push_back(from);
    }
  }

  int64_t multiplier() const { return multiplier_; }
  int64_t channel(int64_t output) const { return output / multiplier_; }
  Mask<Vec<T>> from(int64_t output) const {
    return from_[static_cast<size_t>(output % multiplier_)];
  }

 private:
  int64_t multiplier_;
  std::vector<Mask<Vec<T>>> from_;
};

}  // namespace slim::SLIM_ISA_NAMESPACE
