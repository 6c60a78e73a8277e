// Totals of tapes: of one block's threads, for each of them.
#pragma once
#include "cuda/kernels/reduce.cuh"

__device__ inline double slim_block_sum(double mine) {
  return slim::Team<1, 256, true>::fold<slim::Add<double>>(mine);
}
