// Between the steps of a loop.
#pragma once
#include "cuda/kernels/facts.cuh"

namespace slim {

// Pieces of `length` elements, `count` of them.
template <class T>
struct CopyArguments {
  T* to;
  const T* from;
  long long to_step, from_step, length, count;
};

template <class T>
__device__ inline void copy_pieces(const CopyArguments<T>& a) {
  for (long long i = first_index(); i < a.length * a.count; i += index_step()) {
    const long long piece = i / a.length, at = i % a.length;
    a.to[piece * a.to_step + at] = a.from[piece * a.from_step + at];
  }
}

// The iterations around are above the step in one number, and in the seed.
struct TimeArguments {
  Facts* facts;
  unsigned long long iteration, mask;
  unsigned int seed;
};

}  // namespace slim

extern "C" __global__ void copy_words(const slim::CopyArguments<unsigned int> a) {
  slim::copy_pieces(a);
}
extern "C" __global__ void copy_bytes(const slim::CopyArguments<unsigned char> a) {
  slim::copy_pieces(a);
}

extern "C" __global__ void move_time(const slim::TimeArguments a) {
  const auto step = static_cast<unsigned long long>(a.facts->step);
  a.facts->step = static_cast<long long>((step & ~a.mask) | a.iteration);
  a.facts->seed = a.seed;
}
