// Reductions over any axes. Kept::at(result) and Terms::at(term) say where the terms of a result
// lie; put(result, slice, folded) stores what came of a slice of its terms.
#pragma once
#include "cuda/kernels/numbers.cuh"
#include "cuda/kernels/team.cuh"

namespace slim {

// In double, or modulo 2^64.
template <class T>
struct Sum {
  typedef double Acc;
  static __device__ Acc start() { return 0; }
  static __device__ Acc step(Acc sum, T x, long long) { return sum + static_cast<Acc>(x); }
  static __device__ Acc merge(Acc a, Acc b) { return a + b; }
};
struct WholeSum {
  typedef unsigned long long Acc;
  static __device__ Acc start() { return 0; }
  static __device__ Acc merge(Acc a, Acc b) { return a + b; }
  static __device__ Acc step(Acc sum, long long x, long long) { return sum + static_cast<Acc>(x); }
};
template <>
struct Sum<int32_t> : WholeSum {};
template <>
struct Sum<int64_t> : WholeSum {};

template <class T>
struct Max {
  typedef T Acc;
  static __device__ Acc start() { return -Infinity<T>::get(); }
  static __device__ Acc step(Acc most, T x, long long) { return larger(x, most); }
  static __device__ Acc merge(Acc a, Acc b) { return larger(a, b); }
};

template <class T>
struct Min {
  typedef T Acc;
  static __device__ Acc start() { return Infinity<T>::get(); }
  static __device__ Acc step(Acc least, T x, long long) { return smaller(x, least); }
  static __device__ Acc merge(Acc a, Acc b) { return smaller(a, b); }
};

// The largest element and its first position; NaN is larger than all.
template <class T>
struct FirstLargest {
  struct Acc {
    T value;
    long long at;  // -1: none yet
  };
  static __device__ Acc start() { return {T(0), -1}; }
  static __device__ Acc step(Acc most, T x, long long at) { return merge(most, {x, at}); }
  static __device__ Acc merge(Acc a, Acc b) {
    if (a.at < 0 || b.at < 0) return a.at < 0 ? b : a;
    if (a.value > b.value) return a;
    if (b.value > a.value) return b;
    const bool nan_a = a.value != a.value, nan_b = b.value != b.value;
    if (nan_a != nan_b) return nan_a ? a : b;
    return a.at < b.at ? a : b;
  }
};

template <class Fold, class Team, class Kept, class Terms, class T, class Put>
__device__ void reduce(const T* src, long long results, long long terms, long long slice,
                       int slices, const Put& put) {
  const long long part = block() % slices;
  const long long result = block() / slices * Team::across + Team::number();
  if (block() / slices * Team::across >= results) return;
  const long long first = part * slice;
  const long long last = first + slice < terms ? first + slice : terms;
  typename Fold::Acc sum = Fold::start();
  if (result < results) {
    const T* const base = src + Kept::at(result);
#pragma unroll 4
    for (long long term = first + Team::lane(); term < last; term += Team::down) {
      sum = Fold::step(sum, base[Terms::at(term)], term);
    }
  }
  sum = Team::template fold<Fold>(sum);
  if (result < results && Team::lane() == 0) put(result, part, sum);
}

// parts[slice, result] in order.
template <class Fold, class Put>
__device__ void merge_slices(const typename Fold::Acc* parts, long long results, int slices,
                             const Put& put) {
  for (long long i = first_index(); i < results; i += index_step()) {
    typename Fold::Acc sum = parts[i];
    for (int s = 1; s < slices; ++s) sum = Fold::merge(sum, parts[s * results + i]);
    put(i, 0, sum);
  }
}

template <class T>
struct Add {
  typedef T Acc;
  static __device__ T merge(T a, T b) { return a + b; }
};

template <class Team, class Kept, class Terms, class T, class Put>
__device__ void logsumexp(const T* src, long long results, long long terms, const Put& put) {
  const long long result = block() * Team::across + Team::number();
  const T* const base = src + Kept::at(result < results ? result : 0);
  const long long end = result < results ? terms : 0;
  T most = Max<T>::start();
  for (long long term = Team::lane(); term < end; term += Team::down) {
    most = larger(base[Terms::at(term)], most);
  }
  const T shift = finite_shift(Team::template fold<Max<T>>(most));
  T sum = 0;
  for (long long term = Team::lane(); term < end; term += Team::down) {
    sum += exp_of(base[Terms::at(term)] - shift);
  }
  sum = Team::template fold<Add<T>>(sum);
  if (result < results && Team::lane() == 0) put(result, 0, shift + log_of(sum));
}

}  // namespace slim
