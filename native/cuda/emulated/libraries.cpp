// Products as cuBLASLt has them, one element after the other.
#include "cuda/emulated/libraries.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>

#include "cuda/library.h"

namespace slim::cuda {
namespace {

// To the nearest number of 10 bits behind the first, even ones of two that are.
float to_tf32(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7f800000U) == 0x7f800000U) return x;
  return std::bit_cast<float>((bits + 0xfffU + (bits >> 13 & 1U)) & ~0x1fffU);
}

// Of sixteen bits, five of them the exponent's.
double half(uint16_t bits) {
  const int exponent = bits >> 10 & 31, rest = bits & 1023;
  const double size = exponent == 0   ? std::ldexp(rest, -24)
                      : exponent < 31 ? std::ldexp(1024 + rest, exponent - 25)
                      : rest == 0     ? std::numeric_limits<double>::infinity()
                                      : std::numeric_limits<double>::quiet_NaN();
  return bits >> 15 != 0 ? -size : size;
}

// An element of an operand as what it is multiplied as.
double number_of(const Multiplication& what, const std::byte* from, int64_t at) {
  const auto read = [&]<class T>(T) {
    T value;
    std::memcpy(&value, from + at * int64_t{sizeof(T)}, sizeof(T));
    return value;
  };
  switch (what.dtype) {
    case DType::f64:
      return read(double{});
    case DType::bf16:
      return std::bit_cast<float>(static_cast<uint32_t>(read(uint16_t{})) << 16);
    case DType::f16:
      return half(read(uint16_t{}));
    default:
      break;
  }
  const float number = read(float{});
  return what.tf32 ? to_tf32(number) : number;
}

template <class T>
void multiply_all(const Multiplication& what, const std::byte* a, const std::byte* b,
                  std::byte* result) {
  for (int64_t i = 0; i < what.batches * what.m * what.n; ++i) {
    const int64_t batch = i / (what.m * what.n), row = i / what.n % what.m, column = i % what.n;
    const int64_t left = batch * what.a_step + row * (what.transpose_a ? 1 : what.a_stride);
    const int64_t right = batch * what.b_step + column * (what.transpose_b ? what.b_stride : 1);
    double sum = 0;
    for (int64_t k = 0; k < what.k; ++k) {
      sum += number_of(what, a, left + k * (what.transpose_a ? what.a_stride : 1)) *
             number_of(what, b, right + k * (what.transpose_b ? 1 : what.b_stride));
    }
    reinterpret_cast<T*>(result)[i] = static_cast<T>(sum);
  }
}

}  // namespace

bool HostProduct::is_within(const GuardedMemory& memory, const std::byte* a, const std::byte* b,
                            const std::byte* result, const std::byte* workspace) const {
  const int64_t size = size_of(what.dtype);
  const int64_t as = what.a_step > 0 ? what.batches : 1, bs = what.b_step > 0 ? what.batches : 1;
  return memory.is_within(a, as * what.m * what.k * size) &&
         memory.is_within(b, bs * what.k * what.n * size) &&
         memory.is_within(result, what.batches * what.m * what.n * size_of(what.result_type())) &&
         memory.is_within(workspace, workspace_bytes());
}

bool HostProduct::is_aligned(const std::byte* a, const std::byte* b, const std::byte* result,
                             const std::byte* workspace) const {
  const auto lies = [](const std::byte* array, int64_t alignment) {
    return reinterpret_cast<uintptr_t>(array) % static_cast<uintptr_t>(alignment) == 0;
  };
  return lies(a, what.a_alignment) && lies(b, what.b_alignment) &&
         lies(result, what.result_alignment) && lies(workspace, kLibraryAligned);
}

void HostProduct::multiply(const std::byte* a, const std::byte* b, std::byte* result,
                           std::byte* workspace) const {
  std::memset(workspace, 0xff, static_cast<size_t>(workspace_bytes()));
  (what.dtype == DType::f64 ? multiply_all<double> : multiply_all<float>)(what, a, b, result);
}

bool is_within(const GuardedMemory& memory, const ConvolutionPlan& plan,
               const ConvolutionArrays& arrays) {
  const auto holds = [&](const std::byte* array, const std::vector<int64_t>& sizes, DType dtype) {
    const int64_t count =
        std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
    return memory.is_within(array, count * size_of(dtype));
  };
  const ConvolutionShape& shape = plan.shape;
  size_t read = 0, results = 0;
  for (const PointwiseStep& step : shape.behind) {
    if (step.reads() && !holds(arrays.read.at(read++), {shape.y.back()}, DType::f32)) return false;
    if (step.is_result && !holds(arrays.results.at(results++), shape.y, step.dtype)) return false;
  }
  return holds(arrays.x, shape.x, shape.x_type()) &&
         holds(arrays.filters, shape.filters, shape.filters_type()) &&
         (!shape.behind.empty() || holds(arrays.y, shape.y, shape.y_type())) &&
         memory.is_within(arrays.workspace, plan.workspace_bytes());
}

}  // namespace slim::cuda
