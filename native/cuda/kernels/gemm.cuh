// Products of matrices that functors read: tiles in shared memory, a few elements a thread.
//
// The order in which an element's terms are added is the host's to choose (Order), by shapes other
// than the batch; tiles are free: a tile of any size gives the same bits.
#pragma once
#include "cuda/kernels/numbers.cuh"

namespace slim {

// `high` × `wide` elements a thread; `groups` of threads have a part of the terms each.
template <int rows_, int columns_, int depth_, int high_, int wide_, int groups_>
struct Tile {
  static constexpr int rows = rows_, columns = columns_, depth = depth_;
  static constexpr int high = high_, wide = wide_, groups = groups_;
  static constexpr int across = columns / wide;           // threads beside each other
  static constexpr int threads = across * (rows / high);  // of a group
};

// Terms [first, last) in `pieces` of `piece`: each is a chain of its own, and
// their sums are added in order.
struct Order {
  int first, last, piece;
};

template <class T, int count>
struct alignas(sizeof(T) * count) Pack {
  T at[count];
};

// As many as one load from shared memory takes, of those that a thread has.
template <class T>
__device__ constexpr int pack_of(int count) {
  return count < static_cast<int>(16 / sizeof(T)) ? count : static_cast<int>(16 / sizeof(T));
}

// What of an operand one thread loads of every tile. Operand::outer(i) and inner(k) are found
// once, load(outer, inner) is asked for each element; neighbours lie along k or along i.
template <class T, class Operand, int width, int depth, int threads>
struct Fetch {
  static constexpr int count = width * depth / threads;
  static constexpr bool along_k = Operand::along_k;
  T value[count];
  typename Operand::Outer outer[count];

  __device__ static int at(int s, int thread) { return thread + s * threads; }
  __device__ static int outer_of(int s, int thread) {
    return along_k ? at(s, thread) / depth : at(s, thread) % width;
  }
  __device__ static int inner_of(int s, int thread) {
    return along_k ? at(s, thread) % depth : at(s, thread) / width;
  }

  __device__ void start(const Operand& operand, int thread, int first, int size) {
#pragma unroll
    for (int s = 0; s < count; ++s) {
      const int i = first + outer_of(s, thread);
      outer[s] = operand.outer(i < size ? i : size - 1);
    }
  }
  __device__ void load(const Operand& operand, int thread, int first, int last) {
#pragma unroll
    for (int s = 0; s < count; ++s) {
      const int k = first + inner_of(s, thread);
      value[s] = k < last ? operand.load(outer[s], operand.inner(k)) : T(0);
    }
  }
  template <class Shared>
  __device__ void put(Shared& shared, int thread) const {
#pragma unroll
    for (int s = 0; s < count; ++s) shared[inner_of(s, thread)][outer_of(s, thread)] = value[s];
  }
};

// put(i, j, sum) for each element of the tile from (row, column) on that lies in [m, n].
template <class T, class Tile, int pieces, class A, class B, class Put>
__device__ void gemm(const A& a, const B& b, int m, int n, int row, int column, Order order,
                     const Put& put) {
  constexpr int high = Tile::high, wide = Tile::wide, depth = Tile::depth;
  constexpr int groups = Tile::groups, threads = Tile::threads, across = Tile::across;
  constexpr int down = Tile::rows / high;
  constexpr int pack_a = pack_of<T>(high), pack_b = pack_of<T>(wide);
  constexpr int pad = 16 / sizeof(T);
  struct Memory {
    alignas(16) T a[groups][depth][Tile::rows + pad];
    alignas(16) T b[groups][depth][Tile::columns + pad];
  };
  SLIM_SHARED(Memory, memory);
  const int group = threadIdx.x / threads, thread = threadIdx.x % threads;
  const int x = thread % across, y = thread / across;
  auto& shared_a = memory.a[group];
  auto& shared_b = memory.b[group];

  Fetch<T, A, Tile::rows, depth, threads> fetch_a;
  Fetch<T, B, Tile::columns, depth, threads> fetch_b;
  fetch_a.start(a, thread, row, m);
  fetch_b.start(b, thread, column, n);
  T total[high][wide];
  constexpr int mine = groups == 1 ? pieces : 1;
#pragma unroll 1
  for (int p = 0; p < mine; ++p) {
    const int begin = order.first + (groups == 1 ? p : group) * order.piece;
    const int end = begin + order.piece;  // of as many tiles in every group
    const int stop = end < order.last ? end : order.last;
    fetch_a.load(a, thread, begin, stop);
    fetch_b.load(b, thread, begin, stop);
    T sum[high][wide];
#pragma unroll
    for (int i = 0; i < high; ++i) {
#pragma unroll
      for (int j = 0; j < wide; ++j) sum[i][j] = T(0);
    }
#pragma unroll 1
    for (int k = begin; k < end; k += depth) {
      __syncthreads();  // the last tile has been read
      fetch_a.put(shared_a, thread);
      fetch_b.put(shared_b, thread);
      __syncthreads();
      if (k + depth < end) {
        fetch_a.load(a, thread, k + depth, stop);
        fetch_b.load(b, thread, k + depth, stop);
      }
#pragma unroll
      for (int step = 0; step < depth; ++step) {
        Pack<T, pack_a> left[high / pack_a];
        Pack<T, pack_b> right[wide / pack_b];
#pragma unroll
        for (int i = 0; i < high / pack_a; ++i) {
          left[i] =
              *reinterpret_cast<const Pack<T, pack_a>*>(&shared_a[step][(i * down + y) * pack_a]);
        }
#pragma unroll
        for (int j = 0; j < wide / pack_b; ++j) {
          right[j] =
              *reinterpret_cast<const Pack<T, pack_b>*>(&shared_b[step][(j * across + x) * pack_b]);
        }
#pragma unroll
        for (int i = 0; i < high; ++i) {
#pragma unroll
          for (int j = 0; j < wide; ++j) {
            sum[i][j] =
                fused(left[i / pack_a].at[i % pack_a], right[j / pack_b].at[j % pack_b], sum[i][j]);
          }
        }
      }
    }
#pragma unroll
    for (int i = 0; i < high; ++i) {
#pragma unroll
      for (int j = 0; j < wide; ++j) total[i][j] = p == 0 ? sum[i][j] : total[i][j] + sum[i][j];
    }
  }
  if (groups > 1) {
    T* const other = &memory.a[0][0][0];  // rows × columns elements fit there
#pragma unroll 1
    for (int g = 1; g < groups; ++g) {
      __syncthreads();
      if (group == g) {
#pragma unroll
        for (int i = 0; i < high; ++i) {
#pragma unroll
          for (int j = 0; j < wide; ++j) other[(i * wide + j) * threads + thread] = total[i][j];
        }
      }
      __syncthreads();
      if (group == 0) {
#pragma unroll
        for (int i = 0; i < high; ++i) {
#pragma unroll
          for (int j = 0; j < wide; ++j) total[i][j] += other[(i * wide + j) * threads + thread];
        }
      }
    }
    if (group != 0) return;
  }
#pragma unroll
  for (int i = 0; i < high; ++i) {
    const int to_row = row + (i / pack_a * down + y) * pack_a + i % pack_a;
#pragma unroll
    for (int j = 0; j < wide; ++j) {
      const int to_column = column + (j / pack_b * across + x) * pack_b + j % pack_b;
      if (to_row < m && to_column < n) put(to_row, to_column, total[i][j]);
    }
  }
}

// A product's sizes for this batch, and how the host cut it at capacity.
struct Product {
  long long batches;  // products in a row
  int m, n, k;
  int row_tiles, column_tiles;
  int piece;
  int slice, slices;  // of k: each slice is a result of its own, [slice, batch, m, n]
};

// What a block has of it: false if nothing.
struct Part {
  long long batch, result;
  int row, column;
  Order order;

  template <class Tile>
  __device__ static bool find(const Product& p, Part* part) {
    long long rest = block();
    part->column = static_cast<int>(rest % p.column_tiles) * Tile::columns;
    rest /= p.column_tiles;
    part->row = static_cast<int>(rest % p.row_tiles) * Tile::rows;
    rest /= p.row_tiles;
    const int slice = static_cast<int>(rest % p.slices);
    part->batch = rest / p.slices;
    part->result = slice * p.batches + part->batch;
    const int first = slice * p.slice;
    part->order = {first, first + p.slice < p.k ? first + p.slice : p.k, p.piece};
    return part->batch < p.batches && part->row < p.m;
  }
};

// The slices of a product of `count` elements, added in order.
template <class T, class Store>
__device__ void add_slices(const T* parts, long long count, int slices, const Store& store) {
  for (long long i = first_index(); i < count; i += index_step()) {
    T total = parts[i];
    for (int s = 1; s < slices; ++s) total += parts[s * count + i];
    store(i, total);
  }
}

// An operand in memory: element (i, k) at i·stride + k, or at k·stride + i. Operands of sixteen
// bits are read as the floats that they are multiplied as.
template <class T, bool along>
struct Matrix {
  static constexpr bool along_k = along;
  using Outer = int;
  const T* data;
  long long stride;

  __device__ int outer(int i) const { return i; }
  __device__ int inner(int k) const { return k; }
  __device__ T load(int i, int k) const {
    return along ? data[i * stride + k] : data[k * stride + i];
  }
};

template <class T, class Tile, int pieces, bool transpose_a, bool transpose_b, class S, class Store>
__device__ void matmul(const S* a, const S* b, Product product, long long a_step, long long b_step,
                       long long a_stride, long long b_stride, const Store& store) {
  Part part;
  if (!Part::find<Tile>(product, &part)) return;
  const Matrix<S, !transpose_a> left{a + part.batch * a_step, a_stride};
  const Matrix<S, transpose_b> right{b + part.batch * b_step, b_stride};
  const int n = product.n;
  const long long first = part.result * product.m * n;
  gemm<T, Tile, pieces>(
      left, right, product.m, n, part.row, part.column, part.order,
      [&](int i, int j, T sum) { store(first + static_cast<long long>(i) * n + j, sum); });
}

}  // namespace slim
