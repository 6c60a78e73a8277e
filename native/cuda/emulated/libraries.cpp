// Products as cuBLASLt has them, one element after the other.
#include "cuda/emulated/libraries.h"

#include <bit>
#include <cstring>
#include <functional>
#include <numeric>

namespace slim::cuda {
namespace {

// To the nearest number of 10 bits behind the first, even ones of two that are.
float to_tf32(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7f800000U) == 0x7f800000U) return x;
  return std::bit_cast<float>((bits + 0xfffU + (bits >> 13 & 1U)) & ~0x1fffU);
}
float to_tf32(double x) { return to_tf32(static_cast<float>(x)); }

template <class T>
void multiply_all(const Multiplication& what, const T* a, const T* b, T* result) {
  for (int64_t i = 0; i < what.batches * what.m * what.n; ++i) {
    const int64_t batch = i / (what.m * what.n), row = i / what.n % what.m, column = i % what.n;
    const T* left = a + batch * what.a_step + row * (what.transpose_a ? 1 : what.a_stride);
    const T* right = b + batch * what.b_step + column * (what.transpose_b ? what.b_stride : 1);
    double sum = 0;
    for (int64_t k = 0; k < what.k; ++k) {
      const T x = left[k * (what.transpose_a ? what.a_stride : 1)];
      const T y = right[k * (what.transpose_b ? 1 : what.b_stride)];
      sum += what.tf32 ? static_cast<double>(to_tf32(x)) * static_cast<double>(to_tf32(y))
                       : static_cast<double>(x) * static_cast<double>(y);
    }
    result[i] = static_cast<T>(sum);
  }
}

}  // namespace

bool HostProduct::is_within(const GuardedMemory& memory, const std::byte* a, const std::byte* b,
                            const std::byte* result, const std::byte* workspace) const {
  const int64_t size = size_of(what.dtype);
  const int64_t as = what.a_step > 0 ? what.batches : 1, bs = what.b_step > 0 ? what.batches : 1;
  return memory.is_within(a, as * what.m * what.k * size) &&
         memory.is_within(b, bs * what.k * what.n * size) &&
         memory.is_within(result, what.batches * what.m * what.n * size) &&
         memory.is_within(workspace, workspace_bytes());
}

void HostProduct::multiply(const std::byte* a, const std::byte* b, std::byte* result,
                           std::byte* workspace) const {
  std::memset(workspace, 0xff, static_cast<size_t>(workspace_bytes()));
  if (what.dtype == DType::f64) {
    multiply_all(what, reinterpret_cast<const double*>(a), reinterpret_cast<const double*>(b),
                 reinterpret_cast<double*>(result));
  } else {
    multiply_all(what, reinterpret_cast<const float*>(a), reinterpret_cast<const float*>(b),
                 reinterpret_cast<float*>(result));
  }
}

bool is_within(const GuardedMemory& memory, const ConvolutionPlan& plan,
               const ConvolutionArrays& arrays) {
  const auto holds = [&](const std::byte* array, const std::vector<int64_t>& sizes) {
    const int64_t count =
        std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
    return memory.is_within(array, count * size_of(DType::f32));
  };
  return holds(arrays.x, plan.shape.x) && holds(arrays.filters, plan.shape.filters) &&
         holds(arrays.y, plan.shape.y) &&
         memory.is_within(arrays.workspace, plan.workspace_bytes());
}

}  // namespace slim::cuda
