// A matrix of which columns become rows.
#pragma once

namespace slim {

// dst[column, row] = src[row, column], a tile of 32×32 for a block of 256 threads: both sides are
// read and written along their rows.
template <class T>
__device__ void turn(T* dst, const T* src, long long rows, long long columns) {
  constexpr int size = 32, step = 8;
  struct Tile {
    T at[size][size + 1];  // neighbours of a column lie in other banks
  };
  SLIM_SHARED(Tile, tile);
  const long long across = (columns + size - 1) / size;
  const long long row = block() / across * size, column = block() % across * size;
  const int x = threadIdx.x % size, y = threadIdx.x / size;
  for (int i = y; i < size; i += step) {
    if (row + i < rows && column + x < columns) {
      tile.at[i][x] = src[(row + i) * columns + column + x];
    }
  }
  __syncthreads();
  for (int i = y; i < size; i += step) {
    if (column + i < columns && row + x < rows) {
      dst[(column + i) * rows + row + x] = tile.at[x][i];
    }
  }
  __syncthreads();
}

}  // namespace slim
