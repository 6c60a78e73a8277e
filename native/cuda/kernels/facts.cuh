// What every kernel is given: the facts of the call, and where its operands and results lie.
#pragma once

namespace slim {

// Written by the host before a run, or by the kernels of a step before the others.
struct Facts {
  long long rows;       // of this batch
  long long first_row;  // of its row 0 in the global batch: the random counter
  long long step;       // the random counter
  unsigned int seed;    // the random key
  unsigned int status;  // bits that kernels raise
};

template <int count>
struct Args {
  Facts* facts;
  void* at[count];

  template <class T>
  __device__ T* in(int i) const {
    return static_cast<T*>(at[i]);
  }
};

__device__ inline void raise(Facts* facts, unsigned int bits) { atomicOr(&facts->status, bits); }

// Elements of a grid-wide loop: for (int64_t i = first_index(); i < n; i += index_step()).
__device__ inline long long first_index() {
  return static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline long long index_step() { return static_cast<long long>(gridDim.x) * blockDim.x; }

}  // namespace slim
