// By index: rows of a table, sums into rows, one hot.
#pragma once

namespace slim {

// Clamped into [0, size); what was outside is told.
template <class Id>
__device__ long long clamp_index(Facts* facts, Id id, long long size) {
  const long long index = static_cast<long long>(id);
  if (index >= 0 && index < size) return index;
  raise(facts, 1);  // kBadIndex
  return index < 0 ? 0 : size - 1;
}

// Rows of `row` elements, `dst_row` apart in the result.
template <class T, class Id>
__device__ void gather(Facts* facts, const T* table, const Id* ids, T* dst, long long size,
                       long long count, long long row, long long dst_row) {
  for (long long i = first_index(); i < count * row; i += index_step()) {
    const long long at = i / row, j = i % row;
    dst[at * dst_row + j] = table[clamp_index(facts, ids[at], size) * row + j];
  }
}

// A block for each row of the result: it looks through all ids, and adds what is its own by rising
// position.
template <int threads, class T, class Id>
__device__ void scatter_add(Facts* facts, const Id* ids, const T* updates, T* dst, long long size,
                            long long count, long long row) {
  const long long mine = block();
  if (mine >= size) return;
  struct Shared {
    unsigned char found[threads];
    int any;
  };
  SLIM_SHARED(Shared, shared);
  for (long long first_column = 0; first_column < row; first_column += threads) {
    const long long column = first_column + threadIdx.x;
    T sum = T(0);
    for (long long first = 0; first < count; first += threads) {
      __syncthreads();
      if (threadIdx.x == 0) shared.any = 0;
      __syncthreads();
      const long long at = first + threadIdx.x;
      const bool is = at < count && clamp_index(facts, ids[at], size) == mine;
      shared.found[threadIdx.x] = is;
      if (is) shared.any = 1;
      __syncthreads();
      if (!shared.any || column >= row) continue;
      for (int i = 0; i < threads; ++i) {
        if (shared.found[i]) sum += updates[(first + i) * row + column];
      }
    }
    if (column < row) dst[mine * row + column] = sum;
  }
}

template <class T, class Id>
__device__ void one_hot(const Id* ids, T* dst, long long count, long long depth, long long dst_row,
                        T on, T off) {
  for (long long i = first_index(); i < count * depth; i += index_step()) {
    const long long at = i / depth, j = i % depth;
    dst[at * dst_row + j] = static_cast<long long>(ids[at]) == j ? on : off;
  }
}

}  // namespace slim
