// Two instructions in one pass over the registers: what optimizers and losses are made of.
#include <utility>

#include "cpu/math.h"
#include "cpu/tape/tape_kernels.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

template <Operation op, class V>
SLIM_INLINE V apply(V a, V b) {
  if constexpr (op == Operation::add) return a + b;
  if constexpr (op == Operation::sub) return a - b;
  if constexpr (op == Operation::mul) return a * b;
  if constexpr (op == Operation::div) return a / b;
  if constexpr (op == Operation::square) return a * a;
  if constexpr (op == Operation::sqrt) return sqrt(a);
  return a;
}

// second(first(a, b), c), or second(c, first(a, b)) if swapped; rounded as two.
template <Operation first, Operation second, bool swapped, unsigned scalars>
void run_pair(std::byte* dst_bytes, const std::byte* a_bytes, const std::byte* b_bytes,
              const std::byte* c_bytes, int64_t n) {
  constexpr bool kScalarB = (scalars & 2) != 0, kScalarC = (scalars & 4) != 0;
  constexpr int64_t kStep = kLanes<float>;
  float* dst = reinterpret_cast<float*>(dst_bytes);
  const float* a = reinterpret_cast<const float*>(a_bytes);
  const float* b = reinterpret_cast<const float*>(b_bytes);
  const float* c = reinterpret_cast<const float*>(c_bytes);
  const F32 b0 = load(b), c0 = load(c);
  const auto value = [&](int64_t i) {
    const F32 x = apply<first>(load(a + i), kScalarB ? b0 : load(b + i));
    const F32 y = kScalarC ? c0 : load(c + i);
    return swapped ? apply<second>(y, x) : apply<second>(x, y);
  };
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) store(dst + i, value(i));
  if (i < n) store_partial(dst + i, value(i), n - i);
}

template <Operation first, Operation second, bool swapped>
TapeKernel with_scalars(unsigned scalars) {
  constexpr bool kUnary = first == Operation::square || first == Operation::sqrt;
  switch (scalars) {
    case 0:
      return &run_pair<first, second, swapped, 0>;
    case 4:
      return &run_pair<first, second, swapped, 4>;
    case 2:
      if constexpr (!kUnary) return &run_pair<first, second, swapped, 2>;
      return nullptr;
    case 6:
      if constexpr (!kUnary) return &run_pair<first, second, swapped, 6>;
      return nullptr;
    default:
      return nullptr;
  }
}

template <Operation first>
TapeKernel with_second(Operation second, bool swapped, unsigned scalars) {
  switch (second) {
    case Operation::add:
      return with_scalars<first, Operation::add, false>(scalars);
    case Operation::mul:
      return with_scalars<first, Operation::mul, false>(scalars);
    case Operation::sub:
      return swapped ? with_scalars<first, Operation::sub, true>(scalars)
                     : with_scalars<first, Operation::sub, false>(scalars);
    case Operation::div:
      return swapped ? with_scalars<first, Operation::div, true>(scalars)
                     : with_scalars<first, Operation::div, false>(scalars);
    default:
      return nullptr;
  }
}

}  // namespace

TapeKernel tape_pair_kernel(Operation first, Operation second, bool swapped, DType type,
                            unsigned scalars) {
  if (type != DType::f32) return nullptr;
  switch (first) {
    case Operation::add:
      return with_second<Operation::add>(second, swapped, scalars);
    case Operation::sub:
      return with_second<Operation::sub>(second, swapped, scalars);
    case Operation::mul:
      return with_second<Operation::mul>(second, swapped, scalars);
    case Operation::square:
      return with_second<Operation::square>(second, swapped, scalars);
    case Operation::sqrt:
      return with_second<Operation::sqrt>(second, swapped, scalars);
    default:
      return nullptr;
  }
}

}  // namespace slim::SLIM_ISA_NAMESPACE
