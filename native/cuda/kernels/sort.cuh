// The k largest elements of each row, falling; NaN is larger than any number, of equals the first
// comes first. A block for each row picks one after the other.
#pragma once
#include "cuda/kernels/reduce.cuh"

namespace slim {

template <int threads, class T>
__device__ void top_k(const T* src, T* values, int64_t* positions, long long rows, int n, int k) {
  typedef FirstLargest<T> Fold;
  typedef typename Fold::Acc Acc;
  const long long row = block();
  if (row >= rows) return;
  const T* const from = src + row * n;
  Acc last = Fold::start();
  for (int place = 0; place < k; ++place) {
    Acc best = Fold::start();
    for (int j = threadIdx.x; j < n; j += threads) {
      const Acc mine = {from[j], j};
      // Behind those that stand already: the last one comes before it, and is not it.
      if (last.at < 0 || (mine.at != last.at && Fold::merge(last, mine).at == last.at)) {
        best = Fold::merge(best, mine);
      }
    }
    last = Team<1, threads, true>::template fold<Fold>(best);
    if (threadIdx.x == 0) {
      values[row * k + place] = last.value;
      positions[row * k + place] = last.at;
    }
  }
}

}  // namespace slim
