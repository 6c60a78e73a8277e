// Random numbers, each from its own (seed, stream, step, row, column): kernels/philox.h.
#pragma once

namespace slim {

// What a value consists of: rows of columns, each with counters of its own, or one long row.
struct Draws {
  long long rows, columns;
  long long per_row;  // of the value, for a row of the batch; 0: no row is the batch's
  unsigned int stream;
};

// Of blocks of `count` columns: each(row of the value, its first column, counter row, time).
template <class Each>
__device__ void each_block(const Facts* facts, const Draws& draws, int count, const Each& each) {
  const long long blocks = (draws.columns + count - 1) / count;
  const uint64_t time = static_cast<uint64_t>(facts->step);  // inside of a loop a philox_time
  for (long long i = first_index(); i < draws.rows * blocks; i += index_step()) {
    const long long row = i / blocks;
    const long long counter = draws.per_row > 0 ? facts->first_row * draws.per_row + row : 0;
    each(row * draws.columns, i % blocks * count, static_cast<uint32_t>(counter), time);
  }
}

__device__ inline void uniform(const Facts* facts, float* dst, Draws draws) {
  each_block(facts, draws, 4, [=](long long at, long long column, uint32_t row, uint64_t time) {
    const PhiloxDraw draw =
        philox(facts->seed, draws.stream, static_cast<uint32_t>(column / 4), row, time);
    for (int i = 0; i < 4 && column + i < draws.columns; ++i) {
      dst[at + column + i] = uniform_f32(draw.word[i]);
    }
  });
}

__device__ inline void uniform(const Facts* facts, double* dst, Draws draws) {
  each_block(facts, draws, 2, [=](long long at, long long column, uint32_t row, uint64_t time) {
    const PhiloxDraw draw =
        philox(facts->seed, draws.stream, static_cast<uint32_t>(column / 2), row, time);
    for (int i = 0; i < 2 && column + i < draws.columns; ++i) {
      dst[at + column + i] = uniform_f64(draw.word[2 * i], draw.word[2 * i + 1]);
    }
  });
}

// Box and Muller (1958): two uniforms give two normals.
template <class T>
__device__ void normal(const Facts* facts, T* dst, Draws draws) {
  each_block(facts, draws, 2, [=](long long at, long long column, uint32_t row, uint64_t time) {
    const PhiloxDraw draw =
        philox(facts->seed, draws.stream, static_cast<uint32_t>(column / 2), row, time);
    const double radius = sqrt(-2.0 * log(1.0 - uniform_f64(draw.word[0], draw.word[1])));
    const double angle = 2.0 * 3.14159265358979323846 * uniform_f64(draw.word[2], draw.word[3]);
    dst[at + column] = static_cast<T>(radius * cos(angle));
    if (column + 1 < draws.columns) dst[at + column + 1] = static_cast<T>(radius * sin(angle));
  });
}

// An element is kept by 16 bits, eight elements a block, and where these stand right at the edge
// by 53 more, from a stream beside its own.
template <class T>
__device__ void dropout(const Facts* facts, const T* src, const T* keep_prob, T* dst, Draws draws) {
  const T keep = *keep_prob, scale = T(1) / keep;
  const double wish = static_cast<double>(keep);
  const double scaled = (wish > 1.0 ? 1.0 : wish > 0.0 ? wish : 0.0) * 65536.0;
  const double whole = floor(scaled), rest = scaled - whole;
  const unsigned int edge = static_cast<unsigned int>(whole);
  each_block(facts, draws, 8, [=](long long at, long long column, uint32_t row, uint64_t time) {
    const PhiloxDraw draw =
        philox(facts->seed, draws.stream, static_cast<uint32_t>(column / 8), row, time);
    for (int i = 0; i < 8 && column + i < draws.columns; ++i) {
      const unsigned int bits = draw.word[i / 2] >> (i % 2 * 16) & 0xffffu;
      bool kept = bits < edge;
      if (bits == edge && rest > 0) {
        const PhiloxDraw more =
            philox(facts->seed, ~draws.stream, static_cast<uint32_t>(column + i), row, time);
        kept = uniform_f64(more.word[0], more.word[1]) < rest;
      }
      dst[at + column + i] = kept ? src[at + column + i] * scale : T(0);
    }
  });
}

}  // namespace slim
