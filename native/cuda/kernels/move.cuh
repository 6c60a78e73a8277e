// Elements that go from one place to another.
#pragma once

namespace slim {

// Runs of elements, apart on either side.
template <class T>
__device__ void copy_runs(T* dst, long long dst_row, const T* src, long long src_row,
                          long long rows, long long run) {
  for (long long i = first_index(); i < rows * run; i += index_step()) {
    const long long row = i / run, column = i % run;
    dst[row * dst_row + column] = src[row * src_row + column];
  }
}

template <class T>
__device__ void clear_runs(T* dst, long long dst_row, long long rows, long long run) {
  for (long long i = first_index(); i < rows * run; i += index_step()) {
    dst[i / run * dst_row + i % run] = T(0);
  }
}

// Element i from where Place says.
template <class Place, class T>
__device__ void copy_from(T* dst, const T* src, long long count) {
  for (long long i = first_index(); i < count; i += index_step()) dst[i] = src[Place::at(i)];
}

}  // namespace slim
