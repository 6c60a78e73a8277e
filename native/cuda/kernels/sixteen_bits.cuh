// Numbers of sixteen bits: what is read of one is a float, and a float that is stored as one has
// been rounded to it before (round_bfloat16, round_float16).
#pragma once

namespace slim {

struct Bfloat16 {
  unsigned short bits;

  Bfloat16() = default;
  __device__ explicit Bfloat16(float x) { *this = x; }
  __device__ Bfloat16& operator=(float x) {
    bits = static_cast<unsigned short>(x == x ? __float_as_uint(x) >> 16 : 0x7fc0u);
    return *this;
  }
  __device__ operator float() const {
    return __uint_as_float(static_cast<unsigned int>(bits) << 16);
  }
};

struct Half {
  unsigned short bits;

  Half() = default;
  __device__ explicit Half(float x) { *this = x; }
  __device__ Half& operator=(float x) {
    const unsigned int all = __float_as_uint(x), sign = all >> 16 & 0x8000u;
    const float size = fabsf(x);
    unsigned int rest = ((all & 0x7fffffffu) >> 13) - (112u << 10);
    if (size < 6.103515625e-5f) {  // 2^-14: steps of 2^-24
      rest = static_cast<unsigned int>(size * 16777216.0f);
    } else if (rest > 0x7c00u) {
      rest = x == x ? 0x7c00u : 0x7e00u;
    }
    bits = static_cast<unsigned short>(sign | rest);
    return *this;
  }
  __device__ operator float() const {
    const unsigned int sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31,
                       rest = bits & 1023;
    if (exponent == 0) {
      const float small = static_cast<float>(rest) * 5.9604644775390625e-8f;  // 2^-24
      return sign != 0 ? -small : small;
    }
    return __uint_as_float(sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) |
                           rest << 13);
  }
};

template <class T>
__device__ void widen(float* dst, const T* src, long long count) {
  for (long long i = first_index(); i < count; i += index_step()) dst[i] = src[i];
}

}  // namespace slim
