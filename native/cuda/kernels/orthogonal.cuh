// The Q of a QR factorization by Householder reflections, in double, with the signs that make R's
// diagonal positive (Golub and Van Loan, Matrix Computations, 5.2). One block.
#pragma once
#include "cuda/kernels/reduce.cuh"

namespace slim {

template <int threads>
__device__ double block_dot(const double* a, const double* b, int n) {
  double sum = 0;
  for (int i = threadIdx.x; i < n; i += threads) sum = fused(a[i], b[i], sum);
  return Team<1, threads, true>::template fold<Add<double>>(sum);
}

// x -= v · (2 · v'x), v of length 1
template <int threads>
__device__ void reflect(const double* v, double* x, int n) {
  const double twice = 2.0 * block_dot<threads>(v, x, n);
  for (int i = threadIdx.x; i < n; i += threads) x[i] -= twice * v[i];
  __syncthreads();
}

// `rows` × `columns` of src as columns, rows >= columns; v and q have room for as many numbers.
template <int threads, class T>
__device__ void orthogonal(const T* src, T* dst, double* v, double* q, double* diagonal, int rows,
                           int columns, int row_step, int column_step) {
  for (int i = threadIdx.x; i < rows * columns; i += threads) {
    const int row = i % rows, column = i / rows;
    v[i] = static_cast<double>(src[row * row_step + column * column_step]);
    q[i] = 0;
  }
  __syncthreads();
  for (int j = 0; j < columns; ++j) {
    double* const x = v + j * rows + j;
    const int n = rows - j;
    const double norm = sqrt(block_dot<threads>(x, x, n));
    const double entry = norm == 0 ? 0 : x[0] > 0 ? -norm : norm;  // no cancellation below
    __syncthreads();
    if (threadIdx.x == 0) {
      diagonal[j] = entry;
      x[0] -= entry;
    }
    __syncthreads();
    if (norm != 0) {
      const double length = sqrt(block_dot<threads>(x, x, n));
      for (int i = threadIdx.x; i < n; i += threads) x[i] /= length;
      __syncthreads();
    }
    for (int k = j + 1; k < columns; ++k) reflect<threads>(x, v + k * rows + j, n);
  }
  for (int k = 0; k < columns; ++k) {
    double* const column = q + k * rows;
    if (threadIdx.x == 0) column[k] = diagonal[k] < 0 ? -1.0 : 1.0;
    __syncthreads();
    for (int j = k; j >= 0; --j) reflect<threads>(v + j * rows + j, column + j, rows - j);
    for (int i = threadIdx.x; i < rows; i += threads) {
      dst[i * row_step + k * column_step] = static_cast<T>(column[i]);
    }
  }
}

}  // namespace slim
