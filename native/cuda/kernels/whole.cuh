// A kernel that runs whole steps: the blocks of each part in turns, and between parts of which one
// reads what another wrote a wait of all blocks for each other.
#pragma once
#include "cuda/kernels/facts.cuh"

namespace slim {

// Which all blocks of the kernel share; it begins at zero and only grows.
struct Meeting {
  unsigned long long arrived;
};

__shared__ Facts whole_facts;  // a copy; all threads write it alike

// What was written before is seen behind it. All blocks run at once: the launch demands it.
template <int blocks_, bool cluster>
__device__ inline void meet(Meeting* meeting) {
  __syncthreads();
  if (blocks_ == 1) return;
#ifdef SLIM_EMULATED  // on the host, where blocks run in turns
  slim_meet();
#else
  if (cluster) {
    asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;"
                 :
                 :
                 : "memory");
    return;
  }
  if (threadIdx.x == 0) {
    __threadfence();
    const unsigned long long ticket = atomicAdd(&meeting->arrived, 1ull);
    const unsigned long long all = (ticket / blocks_ + 1) * blocks_;
    while (*(volatile unsigned long long*)&meeting->arrived < all) {
    }
    __threadfence();
  }
  __syncthreads();
#endif
}

// Those of a part's blocks that are this block's, the first of them shifted: parts that run at once
// begin with different blocks.
template <int blocks_, class Body>
__device__ inline void run_part(long long grid, int shift, const Body& body) {
  const long long first = (blockIdx.x + blocks_ - shift % blocks_) % blocks_;
  for (long long at = first; at < grid; at += blocks_) {
    __syncthreads();  // nobody reads what the last one shared
    if (threadIdx.x == 0) {
      whole_block = at;
      whole_blocks = grid;
    }
    __syncthreads();
    body();
  }
}

// For measurements: the cycles of each part of the first block, printed at the end.
#ifdef SLIM_CLOCK
#define SLIM_TIMED(i) \
  if (blockIdx.x == 0 && threadIdx.x == 0) ::slim::whole_cycles[i] = clock64()
__shared__ long long whole_cycles[256];
__device__ inline void print_cycles(int parts) {
  if (blockIdx.x != 0 || threadIdx.x != 0) return;
  for (int i = 0; i < parts; ++i)
    printf("part %d: %lld\n", i, whole_cycles[i + 1] - whole_cycles[i]);
}
#else
#define SLIM_TIMED(i)
#endif

}  // namespace slim
