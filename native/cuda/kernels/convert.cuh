// Numbers of one type as those of another.
#pragma once
#include "cuda/kernels/sixteen_bits.cuh"

namespace slim {

template <class To, class From>
struct Converted {
  static __device__ To of(From value) { return static_cast<To>(value); }
};

// Integers narrow by saturation; fractions are cut towards zero, and NaN is the least.
template <class To>
__device__ inline To whole(double value, double least, double most, To first, To last) {
  return value >= most ? last : value > least ? static_cast<To>(value) : first;
}
template <class From>
struct Converted<unsigned char, From> {
  static __device__ unsigned char of(From value) {
    return whole<unsigned char>(static_cast<double>(value), 0.0, 255.0, 0, 255);
  }
};
template <class From>
struct Converted<int32_t, From> {
  static __device__ int32_t of(From value) {
    return whole<int32_t>(static_cast<double>(value), -2147483648.0, 2147483647.0, -2147483647 - 1,
                          2147483647);
  }
};
template <>
struct Converted<int64_t, double> {
  static __device__ int64_t of(double value) {
    return whole<int64_t>(value, -9223372036854775808.0, 9223372036854775808.0,
                          -9223372036854775807LL - 1, 9223372036854775807LL);
  }
};
template <>
struct Converted<int64_t, float> {
  static __device__ int64_t of(float value) { return Converted<int64_t, double>::of(value); }
};
struct Truth {};  // of a value that is bool
template <class From>
struct Converted<Truth, From> {
  static __device__ unsigned char of(From value) { return value != From(0); }
};
template <>
struct Converted<Truth, Half> {
  static __device__ unsigned char of(Half value) { return (value.bits & 0x7fff) != 0; }
};

}  // namespace slim
