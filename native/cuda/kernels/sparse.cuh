// Sparse rows: those of a batch, their product with a matrix, their transpose, rows with a 1 each.
#pragma once
#include "cuda/kernels/facts.cuh"
#include "cuda/kernels/numbers.cuh"
#include "cuda/kernels/reduce.cuh"

namespace slim {

// As SparseBatch of kernels/kernel.h has it.
template <class T>
struct Sparse {
  T* values;
  int* columns;
  long long* offsets;
  int* ids;          // null: all rows are listed
  long long* count;  // likewise

  __device__ long long listed(long long rows) const { return count != nullptr ? *count : rows; }
  __device__ int row(long long place) const {
    return ids != nullptr ? ids[place] : static_cast<int>(place);
  }
  // Where a row is listed; -1: it has no stored elements.
  __device__ long long place(long long row, long long listed) const {
    if (ids == nullptr) return row < listed ? row : -1;
    long long first = 0, last = listed;
    while (first < last) {
      const long long middle = (first + last) / 2;
      if (ids[middle] < row) {
        first = middle + 1;
      } else {
        last = middle;
      }
    }
    return first < listed && ids[first] == row ? first : -1;
  }
};

// A product with n columns, of all `rows` of a or, where `by_list`, of those that are listed, as
// many rows of the result. Of a block's threads `columns` have columns of their own, `down` share
// the terms of an element, and the others have other rows. What an element is does not depend on
// where its row stands.
template <int columns, int down, int together, bool by_list, class T, class Store>
__device__ void csr_matmul(Sparse<T> a, const T* b, long long listed, long long rows, int n,
                           const Store& store) {
  typedef Team<columns * together, down, columns == 1> Threads;
  constexpr int kChain = 256;  // terms of a lane that are one chain
  const int column = Threads::number() % columns, own = Threads::number() / columns;
  const long long all = by_list ? listed : rows;
  for (long long first = block() * together; first < all; first += blocks() * together) {
    const long long row = first + own;
    const long long place = row >= all ? -1 : by_list ? row : a.place(row, listed);
    const long long begin = place >= 0 ? a.offsets[place] : 0;
    const long long end = place >= 0 ? a.offsets[place + 1] : 0;
    if (!__syncthreads_or(begin < end)) {
      for (int i = threadIdx.x; i < together * n; i += blockDim.x) {
        if (first + i / n < all) store(first * n + i, T(0));
      }
      continue;
    }
    for (int left = 0; left < n; left += columns) {
      const int j = left + column;
      T sum = T(0);
      if (j < n) {
        for (long long from = begin + Threads::lane(); from < end; from += kChain * down) {
          const long long to = from + kChain * down < end ? from + kChain * down : end;
          T chain = T(0);
          for (long long p = from; p < to; p += down) {
            chain = fused(a.values[p], b[static_cast<long long>(a.columns[p]) * n + j], chain);
          }
          sum += chain;
        }
      }
      sum = Threads::template fold<Add<T>>(sum);
      if (Threads::lane() == 0 && j < n && row < all) store(row * n + j, sum);
    }
  }
}

template <class T, class Id>
__device__ void csr_one_hot(Facts* facts, const Id* ids, Sparse<T> dst, long long count,
                            long long depth) {
  for (long long i = first_index(); i <= count; i += index_step()) {
    dst.offsets[i] = i;
    if (i == count) {
      *dst.count = count;
      break;
    }
    const long long id = static_cast<long long>(ids[i]);
    if (id < 0 || id >= depth) raise(facts, 1);  // kBadIndex
    dst.columns[i] = static_cast<int>(id < 0 ? 0 : id < depth ? id : depth - 1);
    dst.values[i] = T(1);
  }
}

// Rows of a source, as `order` lists them. Each block has some of them that follow each other, and
// counts what is stored before these.
template <int threads, class To, class From>
__device__ void gather_sparse_rows(const From* values, const int* columns, const long long* offsets,
                                   const unsigned int* order, long long rows, To* batch_values,
                                   int* batch_columns, long long* batch_offsets) {
  const long long first = rows * block() / blocks(), last = rows * (block() + 1) / blocks();
  if (first >= last) return;
  long long before = 0;
  for (long long row = threadIdx.x; row < first; row += threads) {
    before += offsets[order[row] + 1ll] - offsets[order[row]];
  }
  long long at = Team<1, threads, true>::template fold<Add<long long>>(before);
  for (long long row = first; row < last; ++row) {
    const long long from = offsets[order[row]], count = offsets[order[row] + 1ll] - from;
    if (threadIdx.x == 0) batch_offsets[row] = at;
    for (long long i = threadIdx.x; i < count; i += threads) {
      batch_columns[at + i] = columns[from + i];
      batch_values[at + i] = static_cast<To>(values[from + i]);
    }
    at += count;
  }
  if (last == rows && threadIdx.x == 0) batch_offsets[rows] = at;
}

// -- a gradient that is rows: its parameter's rows and their slots, as arrays of their own --------

// Weights and slots of a parameter, `step` elements from one to the next, and where those of the
// touched rows have room, `room_step` apart.
template <class T>
struct TouchedRows {
  long long width;
  T* weights;
  T* slots;
  long long step;
  int slot_count;
  T* room;
  long long room_step;

  __device__ T* array(int i) const { return i == 0 ? weights : slots + (i - 1) * step; }
  // Where the i-th element of the touched rows is in an array.
  __device__ long long at(const int* ids, long long i) const {
    return ids[i / width] * width + i % width;
  }
};

// What the update does not reach is zero. `length`: takes the elements.
template <class T>
__device__ void fetch_rows(Sparse<T> rows, TouchedRows<T> touched, T* gradient, long long* length) {
  const long long used = *rows.count * touched.width;
  if (block() == 0 && threadIdx.x == 0) *length = used;
  for (long long i = first_index(); i < touched.room_step; i += index_step()) {
    const bool is = i < used;
    gradient[i] = is ? rows.values[i] : T(0);
    const long long at = is ? touched.at(rows.ids, i) : 0;
    for (int j = 0; j <= touched.slot_count; ++j) {
      touched.room[j * touched.room_step + i] = is ? touched.array(j)[at] : T(0);
    }
  }
}

// Back, if the step counts: then the group has its elements.
template <class T>
__device__ void put_rows(const int* ids, TouchedRows<T> touched, const Facts* group) {
  for (long long i = first_index(); i < group->rows; i += index_step()) {
    const long long at = touched.at(ids, i);
    for (int j = 0; j <= touched.slot_count; ++j) {
      touched.array(j)[at] = touched.room[j * touched.room_step + i];
    }
  }
}

// -- the transpose: a stable radix sort of (column, position) by column, 8 bits at a time ---------
//
// A block has a stretch of the pairs; what others have before it, it sums from all counts. The
// order is the only one there is, wherever stretches end.

constexpr int kDigits = 256;  // as many as a block has threads

struct Stretch {
  long long begin, end;

  __device__ static Stretch own(long long stored) {
    const long long each = (stored + blocks() - 1) / blocks();
    const long long length = each < kDigits ? kDigits : (each + kDigits - 1) / kDigits * kDigits;
    const long long begin = length * block();
    return {begin, begin + length < stored ? begin + length : stored};
  }
};

__device__ inline int digit_of(unsigned long long pair, int shift) {
  return static_cast<int>(pair >> (32 + shift) & (kDigits - 1));
}

// The pairs, before the first digit.
template <class T>
__device__ void list_pairs(Sparse<T> src, unsigned long long* pairs, int* row_of, long long rows) {
  const long long listed = src.listed(rows), stored = src.offsets[listed];
  for (long long p = first_index(); p < stored; p += index_step()) {
    long long first = 0, last = listed;  // the last row that begins at p or before
    while (last - first > 1) {
      const long long middle = (first + last) / 2;
      if (src.offsets[middle] <= p) {
        first = middle;
      } else {
        last = middle;
      }
    }
    row_of[p] = src.row(first);
    pairs[p] = static_cast<unsigned long long>(src.columns[p]) << 32 | static_cast<unsigned>(p);
  }
}

// How often a block has each digit: counts[block][digit].
template <class T>
__device__ void count_digits(Sparse<T> src, const unsigned long long* pairs, unsigned int* counts,
                             long long rows, int shift) {
  struct Shared {
    unsigned int counts[kDigits];
  };
  SLIM_SHARED(Shared, shared);
  const Stretch mine = Stretch::own(src.offsets[src.listed(rows)]);
  shared.counts[threadIdx.x] = 0;
  __syncthreads();
  for (long long p = mine.begin + threadIdx.x; p < mine.end; p += kDigits) {
    atomicAdd(&shared.counts[digit_of(pairs[p], shift)], 1u);
  }
  __syncthreads();
  counts[block() * kDigits + threadIdx.x] = shared.counts[threadIdx.x];
}

template <class T>
__device__ void sort_by_digit(Sparse<T> src, const unsigned long long* from, unsigned long long* to,
                              const unsigned int* counts, long long rows, int shift) {
  struct Shared {
    unsigned int next[kDigits];  // where the next pair of a digit goes
    unsigned short digit[kDigits];
  };
  SLIM_SHARED(Shared, shared);
  const Stretch mine = Stretch::own(src.offsets[src.listed(rows)]);
  if (mine.begin >= mine.end) return;
  const int thread = threadIdx.x;
  unsigned int before = 0, all = 0;
  for (long long b = 0; b < blocks(); ++b) {
    const unsigned int count = counts[b * kDigits + thread];
    if (b < block()) before += count;
    all += count;
  }
  shared.next[thread] = all;
  __syncthreads();
  for (int reach = 1; reach < kDigits; reach *= 2) {
    const unsigned int other = thread >= reach ? shared.next[thread - reach] : 0;
    __syncthreads();
    shared.next[thread] += other;
    __syncthreads();
  }
  shared.next[thread] += before - all;
  for (long long tile = mine.begin; tile < mine.end; tile += kDigits) {
    const bool is = tile + thread < mine.end;
    const unsigned long long pair = is ? from[tile + thread] : 0;
    const int digit = is ? digit_of(pair, shift) : kDigits;
    shared.digit[thread] = static_cast<unsigned short>(digit);
    __syncthreads();
    unsigned int place = 0, found = 0;  // before this thread; of the digit of its number
    for (int i = 0; i < kDigits; ++i) {
      place += shared.digit[i] == digit && i < thread;
      found += shared.digit[i] == thread;
    }
    if (is) to[shared.next[digit] + place] = pair;
    __syncthreads();
    shared.next[thread] += found;
  }
}

__device__ inline bool is_first(const unsigned long long* pairs, long long p) {
  return p == 0 || pairs[p] >> 32 != pairs[p - 1] >> 32;
}

// How many columns begin in the stretch of a block.
template <class T>
__device__ void count_columns(Sparse<T> src, const unsigned long long* pairs, unsigned int* counts,
                              long long rows) {
  const Stretch mine = Stretch::own(src.offsets[src.listed(rows)]);
  unsigned int found = 0;
  for (long long p = mine.begin + threadIdx.x; p < mine.end; p += kDigits) {
    found += is_first(pairs, p);
  }
  found = Team<1, kDigits, true>::template fold<Add<unsigned int>>(found);
  if (threadIdx.x == 0) counts[block()] = found;
}

// Of the sorted pairs, rows: each column that there is.
template <class T>
__device__ void list_columns(Sparse<T> src, Sparse<T> dst, const unsigned long long* pairs,
                             const int* row_of, const unsigned int* counts, long long rows) {
  struct Shared {
    unsigned char first[kDigits];
  };
  SLIM_SHARED(Shared, shared);
  const long long stored = src.offsets[src.listed(rows)];
  const Stretch mine = Stretch::own(stored);
  long long place = 0, all = 0;
  for (long long b = 0; b < blocks(); ++b) {
    if (b < block()) place += counts[b];
    all += counts[b];
  }
  if (block() == 0 && threadIdx.x == 0) {
    *dst.count = all;
    dst.offsets[all] = stored;
  }
  for (long long tile = mine.begin; tile < mine.end; tile += kDigits) {
    const long long p = tile + threadIdx.x;
    const bool begins = p < mine.end && is_first(pairs, p);
    shared.first[threadIdx.x] = begins;
    __syncthreads();
    int before = 0, found = 0;
    for (int i = 0; i < kDigits; ++i) {
      before += shared.first[i] && i < threadIdx.x;
      found += shared.first[i];
    }
    if (begins) {
      dst.ids[place + before] = static_cast<int>(pairs[p] >> 32);
      dst.offsets[place + before] = p;
    }
    if (p < mine.end) {
      const unsigned int from = static_cast<unsigned int>(pairs[p]);
      dst.columns[p] = row_of[from];
      dst.values[p] = src.values[from];
    }
    place += found;
    __syncthreads();
  }
}

}  // namespace slim
