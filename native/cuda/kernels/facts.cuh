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

// Kernels do not read blockIdx and gridDim: a kernel of a whole step (whole.cuh) runs the blocks of
// others in turns. For the same reason what a block shares is declared by SLIM_SHARED: there it has
// one place for all.
#ifdef SLIM_WHOLE
__shared__ long long whole_block, whole_blocks;
alignas(16) __shared__ unsigned char whole_memory[SLIM_WHOLE];
__device__ inline long long block() { return whole_block; }
__device__ inline long long blocks() { return whole_blocks; }
#define SLIM_SHARED(Type, name)                                               \
  static_assert(sizeof(Type) <= SLIM_WHOLE, "more than a whole step shares"); \
  Type& name = *reinterpret_cast<Type*>(::slim::whole_memory)
#else
__device__ inline long long block() { return blockIdx.x; }
__device__ inline long long blocks() { return gridDim.x; }
#define SLIM_SHARED(Type, name) __shared__ Type name
#endif

// Elements of a grid-wide loop: for (int64_t i = first_index(); i < n; i += index_step()).
__device__ inline long long first_index() { return block() * blockDim.x + threadIdx.x; }
__device__ inline long long index_step() { return blocks() * blockDim.x; }

}  // namespace slim
