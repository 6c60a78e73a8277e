// What stands before a kernel's source when the host compiles it: CUDA's words as C++.
#pragma once

namespace slim::cuda {

// The host has `slim_now` set to the thread whose turn it is, and takes turns in its `wait`.
inline constexpr const char* kShim = R"SHIM(
#define __CUDACC_RTC__ 1
#define SLIM_EMULATED 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __constant__ static
#define __shared__ static
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __restrict__ __restrict

struct uint3 { unsigned int x, y, z; };
struct dim3 { unsigned int x, y, z; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(16) uint4 { unsigned int x, y, z, w; };
struct alignas(4) uchar4 { unsigned char x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

struct SlimNow {
  uint3 thread, block;
  dim3 block_size, grid;
  void* dynamic;
  void (*wait)(unsigned int lanes);  // 0: for the block
  void (*meet)();                    // for all blocks
};
extern "C" __attribute__((visibility("default"))) SlimNow slim_now;
SlimNow slim_now;
#define threadIdx (slim_now.thread)
#define blockIdx (slim_now.block)
#define blockDim (slim_now.block_size)
#define gridDim (slim_now.grid)
static const int warpSize = 32;

inline void __syncthreads() { slim_now.wait(0); }
inline void __syncwarp(unsigned int lanes = 0xffffffffu) { slim_now.wait(lanes); }
inline void slim_meet() { slim_now.meet(); }
inline void __threadfence() {}
inline void __threadfence_block() {}

static unsigned long long slim_slots[1024];
static unsigned char slim_votes[1024];
inline int slim_thread() {
  return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
}
template <class T>
inline T slim_exchange(unsigned int lanes, T value, int from) {
  static_assert(sizeof(T) <= 8, "");
  const int me = slim_thread();
  __builtin_memcpy(&slim_slots[me], &value, sizeof(T));
  __syncwarp(lanes);
  T result = value;
  if (from >= 0 && from < 32) __builtin_memcpy(&result, &slim_slots[me / 32 * 32 + from], sizeof(T));
  __syncwarp(lanes);
  return result;
}
template <class T>
inline T __shfl_sync(unsigned int lanes, T value, int from, int width = 32) {
  const int me = slim_thread() % 32;
  return slim_exchange(lanes, value, me / width * width + from % width);
}
template <class T>
inline T __shfl_xor_sync(unsigned int lanes, T value, int mask, int width = 32) {
  const int me = slim_thread() % 32, from = me ^ mask;
  return slim_exchange(lanes, value, from < (me / width + 1) * width ? from : -1);
}
template <class T>
inline T __shfl_down_sync(unsigned int lanes, T value, unsigned int by, int width = 32) {
  const int me = slim_thread() % 32, from = me + (int)by;
  return slim_exchange(lanes, value, from < (me / width + 1) * width ? from : -1);
}
template <class T>
inline T __shfl_up_sync(unsigned int lanes, T value, unsigned int by, int width = 32) {
  const int me = slim_thread() % 32, from = me - (int)by;
  return slim_exchange(lanes, value, from >= me / width * width ? from : -1);
}
inline unsigned int __ballot_sync(unsigned int lanes, int vote) {
  const int me = slim_thread(), first = me / 32 * 32;
  slim_votes[me] = vote != 0;
  __syncwarp(lanes);
  unsigned int all = 0;
  for (int i = 0; i < 32; ++i) all |= (unsigned int)slim_votes[first + i] << i;
  __syncwarp(lanes);
  slim_votes[me] = 0;
  return all & lanes;
}
inline int __any_sync(unsigned int lanes, int vote) { return __ballot_sync(lanes, vote) != 0; }
inline int __all_sync(unsigned int lanes, int vote) { return __ballot_sync(lanes, !vote) == 0; }
inline unsigned int __activemask() { return 0xffffffffu; }
inline int __syncthreads_or(int vote) {
  static int any;
  __syncthreads();
  any = 0;
  __syncthreads();
  any |= vote != 0;
  __syncthreads();
  return any;
}
inline int __syncthreads_and(int vote) { return !__syncthreads_or(!vote); }

template <class T, class U>
inline T atomicAdd(T* at, U value) { const T old = *at; *at = old + (T)value; return old; }
template <class T, class U>
inline T atomicMax(T* at, U value) { const T old = *at; if (old < (T)value) *at = (T)value; return old; }
template <class T, class U>
inline T atomicMin(T* at, U value) { const T old = *at; if ((T)value < old) *at = (T)value; return old; }
template <class T, class U>
inline T atomicOr(T* at, U value) { const T old = *at; *at = old | (T)value; return old; }
template <class T, class U>
inline T atomicAnd(T* at, U value) { const T old = *at; *at = old & (T)value; return old; }
template <class T, class U>
inline T atomicExch(T* at, U value) { const T old = *at; *at = (T)value; return old; }
template <class T, class U, class V>
inline T atomicCAS(T* at, U compare, V value) {
  const T old = *at;
  if (old == (T)compare) *at = (T)value;
  return old;
}
inline unsigned int atomicInc(unsigned int* at, unsigned int last) {
  const unsigned int old = *at;
  *at = old >= last ? 0 : old + 1;
  return old;
}

template <class To, class From>
inline To slim_bits(From from) {
  To to;
  static_assert(sizeof(To) == sizeof(From), "");
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}
inline int __float_as_int(float x) { return slim_bits<int>(x); }
inline unsigned int __float_as_uint(float x) { return slim_bits<unsigned int>(x); }
inline float __int_as_float(int x) { return slim_bits<float>(x); }
inline float __uint_as_float(unsigned int x) { return slim_bits<float>(x); }
inline long long __double_as_longlong(double x) { return slim_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return slim_bits<double>(x); }
template <class T>
inline T __ldg(const T* at) { return *at; }
inline unsigned int __umulhi(unsigned int a, unsigned int b) {
  return (unsigned int)((unsigned long long)a * b >> 32);
}
inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline int __popc(unsigned int x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(x); }
inline int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }

inline float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return __builtin_fma(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fsqrt_rn(float x) { return __builtin_sqrtf(x); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double x) { return __builtin_sqrt(x); }
inline float __expf(float x) { return __builtin_expf(x); }
inline float __logf(float x) { return __builtin_logf(x); }
inline float rsqrtf(float x) { return 1.0f / __builtin_sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / __builtin_sqrt(x); }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
inline int __float2int_rn(float x) { return (int)__builtin_rintf(x); }
inline int __float2int_rz(float x) { return (int)x; }

#define SLIM_MATH_1(name)                                               \
  inline float name##f(float x) { return __builtin_##name##f(x); }      \
  inline double name(double x) { return __builtin_##name(x); }          \
  inline float name(float x) { return __builtin_##name##f(x); }
#define SLIM_MATH_2(name)                                                         \
  inline float name##f(float x, float y) { return __builtin_##name##f(x, y); }    \
  inline double name(double x, double y) { return __builtin_##name(x, y); }       \
  inline float name(float x, float y) { return __builtin_##name##f(x, y); }
SLIM_MATH_1(sqrt) SLIM_MATH_1(cbrt) SLIM_MATH_1(exp) SLIM_MATH_1(exp2) SLIM_MATH_1(expm1)
SLIM_MATH_1(log) SLIM_MATH_1(log2) SLIM_MATH_1(log10) SLIM_MATH_1(log1p)
SLIM_MATH_1(sin) SLIM_MATH_1(cos) SLIM_MATH_1(tan) SLIM_MATH_1(asin) SLIM_MATH_1(acos)
SLIM_MATH_1(atan) SLIM_MATH_1(sinh) SLIM_MATH_1(cosh) SLIM_MATH_1(tanh) SLIM_MATH_1(asinh)
SLIM_MATH_1(acosh) SLIM_MATH_1(atanh) SLIM_MATH_1(erf) SLIM_MATH_1(erfc) SLIM_MATH_1(lgamma)
SLIM_MATH_1(fabs) SLIM_MATH_1(floor) SLIM_MATH_1(ceil) SLIM_MATH_1(trunc) SLIM_MATH_1(round)
SLIM_MATH_1(rint) SLIM_MATH_1(nearbyint)
SLIM_MATH_2(fmin) SLIM_MATH_2(fmax) SLIM_MATH_2(fmod) SLIM_MATH_2(pow) SLIM_MATH_2(atan2)
SLIM_MATH_2(copysign) SLIM_MATH_2(hypot)
inline float fmaf(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
inline float ldexpf(float x, int n) { return __builtin_ldexpf(x, n); }
inline double ldexp(double x, int n) { return __builtin_ldexp(x, n); }
inline long long llrint(double x) { return __builtin_llrint(x); }
inline int abs(int x) { return x < 0 ? -x : x; }
inline float abs(float x) { return __builtin_fabsf(x); }
inline double abs(double x) { return __builtin_fabs(x); }
template <class T>
inline bool isnan(T x) { return x != x; }
template <class T>
inline bool isinf(T x) { return x == x && x - x != T(0); }
template <class T>
inline bool isfinite(T x) { return x - x == T(0); }
template <class A, class B>
inline decltype(A() + B()) min(A a, B b) { return a < b || b != b ? a : b; }
template <class A, class B>
inline decltype(A() + B()) max(A a, B b) { return a > b || b != b ? a : b; }
extern "C" void* memcpy(void*, const void*, decltype(sizeof 0)) noexcept;
extern "C" void* memset(void*, int, decltype(sizeof 0)) noexcept;
extern "C" int printf(const char*, ...);

template <class Arguments>
inline void slim_call(void (*kernel)(Arguments), const void* bytes) {
  kernel(*static_cast<const Arguments*>(bytes));
}
template <class Arguments>
constexpr unsigned long long slim_size_of(void (*)(Arguments)) { return sizeof(Arguments); }
#define SLIM_KERNEL(name)                                                                          \
  extern "C" __attribute__((visibility("default"))) void slim_call_##name(const void* bytes) {     \
    slim_call(name, bytes);                                                                        \
  }                                                                                                \
  extern "C" __attribute__((visibility("default"))) const unsigned long long slim_size_##name;     \
  const unsigned long long slim_size_##name = slim_size_of(name);
)SHIM";

}  // namespace slim::cuda
