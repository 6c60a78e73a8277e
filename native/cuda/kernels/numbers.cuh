// Functions of float and double under one name.
#pragma once

namespace slim {

__device__ inline float exp_of(float x) { return expf(x); }
__device__ inline double exp_of(double x) { return exp(x); }
__device__ inline float log_of(float x) { return logf(x); }
__device__ inline double log_of(double x) { return log(x); }
__device__ inline float log1p_of(float x) { return log1pf(x); }
__device__ inline double log1p_of(double x) { return log1p(x); }
__device__ inline float fused(float a, float b, float c) { return fmaf(a, b, c); }
__device__ inline double fused(double a, double b, double c) { return fma(a, b, c); }

template <class T>
struct Infinity;
template <>
struct Infinity<float> {
  static __device__ float get() { return INFINITY; }
};
template <>
struct Infinity<double> {
  static __device__ double get() { return static_cast<double>(INFINITY); }
};

// NaN wins.
template <class T>
__device__ inline T larger(T a, T b) {
  return a > b || a != a ? a : b;
}
template <class T>
__device__ inline T smaller(T a, T b) {
  return a < b || a != a ? a : b;
}

// What is subtracted from exponents: 0 where the largest is infinite, so that nothing becomes NaN.
template <class T>
__device__ inline T finite_shift(T largest) {
  return largest - largest == T(0) ? largest : T(0);
}

}  // namespace slim
