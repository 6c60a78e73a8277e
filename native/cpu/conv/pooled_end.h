// What follows the sums of the four pixels of a window: a bias, relu, and the largest of them.
#pragma once

#include "cpu/conv/pooled.h"
#include "cpu/math.h"
#include "cpu/vec.h"
#include "kernels/kernel.h"

namespace slim::SLIM_ISA_NAMESPACE {

class PooledEnd {
 public:
  explicit PooledEnd(const Binding& binding)
      : biased_(binding.operands.size() > 2),
        relu_(binding.flag("relu", false)),
        values_(binding.results[0]),
        places_(binding.results[1]) {
    if (biased_) bias_ = binding.operands[2];
  }

  // Of the output `n` and those behind it, to element `to` of the results.
  template <int vectors>
  SLIM_INLINE void store(const Context& context, F32 (&sum)[4][vectors], int64_t n,
                         int64_t to) const {
    constexpr int64_t kStep = kLanes<float>;
    float* values = values_.in<float>(context) + to;
    uint8_t* places = places_.in<uint8_t>(context) + to;
#pragma GCC unroll 2
    for (int j = 0; j < vectors; ++j) {
      if (biased_) {
        const F32 bias = load(bias_.in<float>(context) + n + j * kStep);
#pragma GCC unroll 4
        for (int p = 0; p < 4; ++p) sum[p][j] = sum[p][j] + bias;
      }
      if (relu_) {
#pragma GCC unroll 4
        for (int p = 0; p < 4; ++p) sum[p][j] = relu(sum[p][j]);
      }
      F32 best = sum[0][j];
      I32 place{};
#pragma GCC unroll 3
      for (int p = 1; p < 4; ++p) {
        const auto wins = ~(sum[p][j] <= best) & (best == best);  // NaN wins, and keeps it
        best = select(wins, sum[p][j], best);
        place = select(wins, I32{} + p, place);
      }
      slim::SLIM_ISA_NAMESPACE::store(values + j * kStep, best);
      store_bytes(places + j * kStep, place);
    }
  }

 private:
  bool biased_, relu_;
  Buffer bias_, values_, places_;
};

}  // namespace slim::SLIM_ISA_NAMESPACE
