// Numbers that no operand decides.
#pragma once

namespace slim {

template <class T>
__device__ void iota(T* dst, long long count) {
  for (long long i = first_index(); i < count; i += index_step()) dst[i] = static_cast<T>(i);
}

// Zeros from one element to another.
template <class T>
__device__ void clear(T* dst, long long from, long long to) {
  for (long long i = from + first_index(); i < to; i += index_step()) dst[i] = T(0);
}

// Of a dimension's formula; % divides down. In double: exact to 2^53, and nothing overflows.
struct Whole {
  double value;

  friend __device__ Whole operator+(Whole a, Whole b) { return {a.value + b.value}; }
  friend __device__ Whole operator-(Whole a, Whole b) { return {a.value - b.value}; }
  friend __device__ Whole operator*(Whole a, Whole b) { return {a.value * b.value}; }
  friend __device__ Whole operator%(Whole a, Whole b) { return {floor(a.value / b.value)}; }
};

}  // namespace slim
