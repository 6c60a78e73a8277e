// Arrays that others keep on the GPU: rows copied and converted, or looked through, as they lie.
#pragma once
#include "cuda/kernels/convert.cuh"
#include "cuda/kernels/facts.cuh"

namespace slim {

// Row i is row order[first + i] of the array (no order: first + i); distances in bytes.
struct StridedRows {
  const unsigned char* data;
  void* to;
  const unsigned int* order;
  long long first, rows, row_stride;
  long long numbers;  // of a row
  long long axes;     // under it
  long long extents[8], strides[8];
};

__device__ inline const void* number_at(const StridedRows& a, long long i) {
  const long long row = a.first + i / a.numbers;
  const unsigned char* at =
      a.data + (a.order != nullptr ? static_cast<long long>(a.order[row]) : row) * a.row_stride;
  long long rest = i % a.numbers;
  for (long long axis = a.axes - 1; axis >= 0; --axis) {
    at += rest % a.extents[axis] * a.strides[axis];
    rest /= a.extents[axis];
  }
  return at;
}

template <class Kind, class To, class From>
__device__ inline void copy_rows(const StridedRows& a) {
  To* const to = static_cast<To*>(a.to);
  for (long long i = first_index(); i < a.rows * a.numbers; i += index_step()) {
    to[i] = Converted<Kind, From>::of(*static_cast<const From*>(number_at(a, i)));
  }
}

// Of the finite numbers that a block sees, and whether there are others.
struct Seen {
  double least, most;
  long long finite;
};

template <class From, int threads>
__device__ inline void look_at_rows(const StridedRows& a) {
  struct All {
    Seen at[threads];
  };
  SLIM_SHARED(All, all);
  Seen seen = {static_cast<double>(INFINITY), -static_cast<double>(INFINITY), 1};
  for (long long i = first_index(); i < a.rows * a.numbers; i += index_step()) {
    const double value = static_cast<double>(*static_cast<const From*>(number_at(a, i)));
    if (!(value - value == 0)) {
      seen.finite = 0;
      continue;
    }
    seen.least = value < seen.least ? value : seen.least;
    seen.most = value > seen.most ? value : seen.most;
  }
  all.at[threadIdx.x] = seen;
  __syncthreads();
  for (int half = threads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) {
      Seen& own = all.at[threadIdx.x];
      const Seen& other = all.at[threadIdx.x + half];
      own.least = other.least < own.least ? other.least : own.least;
      own.most = other.most > own.most ? other.most : own.most;
      own.finite = own.finite & other.finite;
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) static_cast<Seen*>(a.to)[block()] = all.at[0];
}

}  // namespace slim
