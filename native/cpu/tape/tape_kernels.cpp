// Every row of elementwise.def as a loop, for its types and for scalar operands.
#include "cpu/tape/tape_kernels.h"

#include <type_traits>

#include "cpu/math.h"
#include "kernels/convert.h"
#include "kernels/formulas/circular.h"
#include "kernels/formulas/error_functions.h"
#include "kernels/formulas/sixteen_bits.h"
#include "kernels/row_types.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

using enum RowTypes::Types;

template <class T>
const T* of(const std::byte* p) {
  return reinterpret_cast<const T*>(p);
}

// f(vector of a, vector of b); a scalar operand is read once.
template <class T, bool scalar_a, bool scalar_b, class Function>
SLIM_INLINE void vector_loop(std::byte* dst_bytes, const T* a, const T* b, int64_t n, Function f) {
  T* dst = reinterpret_cast<T*>(dst_bytes);
  constexpr int64_t kStep = kLanes<T>;
  const Vec<T> a0 = load(a), b0 = load(b);
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    store(dst + i, f(scalar_a ? a0 : load(a + i), scalar_b ? b0 : load(b + i)));
  }
  if (i < n) {
    store_partial(dst + i, f(scalar_a ? a0 : load(a + i), scalar_b ? b0 : load(b + i)), n - i);
  }
}

#define UNARY(name, types_, cost, formula)                                                  \
  struct Row_##name {                                                                       \
    static constexpr unsigned types = types_;                                               \
    static constexpr unsigned most_scalars = 0;                                             \
    template <class T, unsigned scalars>                                                    \
    static void run(std::byte* dst, const std::byte* a, const std::byte*, const std::byte*, \
                    int64_t n) {                                                            \
      vector_loop<T, false, true>(dst, of<T>(a), of<T>(a), n,                               \
                                  [](auto x, auto) { return formula; });                    \
    }                                                                                       \
  };
#define BINARY(name, types_, cost, formula)                                                     \
  struct Row_##name {                                                                           \
    static constexpr unsigned types = types_;                                                   \
    static constexpr unsigned most_scalars = 2;                                                 \
    template <class T, unsigned scalars>                                                        \
    static void run(std::byte* dst, const std::byte* a_, const std::byte* b_, const std::byte*, \
                    int64_t n) {                                                                \
      vector_loop<T, (scalars & 1) != 0, (scalars & 2) != 0>(                                   \
          dst, of<T>(a_), of<T>(b_), n, [](auto a, auto b) { return formula; });                \
    }                                                                                           \
  };
#define TEST_UNARY(name, types_, cost, formula)                                             \
  struct Row_##name {                                                                       \
    static constexpr unsigned types = types_;                                               \
    static constexpr unsigned most_scalars = 0;                                             \
    template <class T, unsigned scalars>                                                    \
    static void run(std::byte* dst, const std::byte* a, const std::byte*, const std::byte*, \
                    int64_t n) {                                                            \
      uint8_t* result = reinterpret_cast<uint8_t*>(dst);                                    \
      _Pragma("GCC ivdep") for (int64_t i = 0; i < n; ++i) {                                \
        const T x = of<T>(a)[i];                                                            \
        result[i] = formula;                                                                \
      }                                                                                     \
    }                                                                                       \
  };
#define TEST_BINARY(name, types_, cost, formula)                                                \
  struct Row_##name {                                                                           \
    static constexpr unsigned types = types_;                                                   \
    static constexpr unsigned most_scalars = 2;                                                 \
    template <class T, unsigned scalars>                                                        \
    static void run(std::byte* dst, const std::byte* a_, const std::byte* b_, const std::byte*, \
                    int64_t n) {                                                                \
      uint8_t* result = reinterpret_cast<uint8_t*>(dst);                                        \
      _Pragma("GCC ivdep") for (int64_t i = 0; i < n; ++i) {                                    \
        const T a = of<T>(a_)[(scalars & 1) != 0 ? 0 : i];                                      \
        const T b = of<T>(b_)[(scalars & 2) != 0 ? 0 : i];                                      \
        result[i] = formula;                                                                    \
      }                                                                                         \
    }                                                                                           \
  };
#include "ir/elementwise.def"

struct Row_copy {
  static constexpr unsigned types = NB;
  static constexpr unsigned most_scalars = 1;
  template <class T, unsigned scalars>
  static void run(std::byte* dst, const std::byte* a, const std::byte*, const std::byte*,
                  int64_t n) {
    T* result = reinterpret_cast<T*>(dst);
    if constexpr ((scalars & 1) != 0) {
      const T x = of<T>(a)[0];
      for (int64_t i = 0; i < n; ++i) result[i] = x;
    } else {
      __builtin_memmove(dst, a, static_cast<size_t>(n) * sizeof(T));
    }
  }
};

// select(condition, a, b): the condition's type is bool, T is that of a and b.
struct Row_select {
  static constexpr unsigned types = NB;
  static constexpr unsigned most_scalars = 6;
  template <class T, unsigned scalars>
  static void run(std::byte* dst, const std::byte* a, const std::byte* b, const std::byte* c,
                  int64_t n) {
    T* result = reinterpret_cast<T*>(dst);
    const T b0 = *of<T>(b), c0 = *of<T>(c);
    const bool a0 = *of<uint8_t>(a) != 0;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
      const bool condition = (scalars & 1) != 0 ? a0 : of<uint8_t>(a)[i] != 0;
      const T x = (scalars & 2) != 0 ? b0 : of<T>(b)[i];
      const T y = (scalars & 4) != 0 ? c0 : of<T>(c)[i];
      result[i] = condition ? x : y;
    }
  }
};

// No row needs all operands scalar: such an instruction runs once, as on one element.
template <class Row, class T, unsigned scalars = 0>
TapeKernel with_scalars(unsigned wanted) {
  if (wanted == scalars) return &Row::template run<T, scalars>;
  if constexpr (scalars < Row::most_scalars) return with_scalars<Row, T, scalars + 1>(wanted);
  return nullptr;
}

template <class Row, class T>
TapeKernel of_type(unsigned scalars) {
  if constexpr (RowTypes::in<T>(Row::types)) return with_scalars<Row, T>(scalars);
  return nullptr;
}

template <class Row>
TapeKernel of_row(DType dtype, unsigned scalars) {
  switch (dtype) {
    case DType::f32:
      return of_type<Row, float>(scalars);
    case DType::f64:
      return of_type<Row, double>(scalars);
    case DType::i32:
      return of_type<Row, int32_t>(scalars);
    case DType::i64:
      return of_type<Row, int64_t>(scalars);
    case DType::b8:
      return of_type<Row, bool>(scalars);
    case DType::u8:
    case DType::bf16:
    case DType::f16:
      break;  // only moved
  }
  return nullptr;
}

template <class From, class To>
void run_cast(std::byte* dst, const std::byte* a, const std::byte*, const std::byte*, int64_t n) {
  const From* src = of<From>(a);
  To* result = reinterpret_cast<To*>(dst);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To> &&
                  !std::is_same_v<To, bool>) {
      result[i] = whole_number<To>(src[i]);
    } else {
      result[i] = static_cast<To>(src[i]);
    }
  }
}

template <class From>
TapeKernel cast_from(DType to) {
  switch (to) {
    case DType::f32:
      return &run_cast<From, float>;
    case DType::f64:
      return &run_cast<From, double>;
    case DType::i32:
      return &run_cast<From, int32_t>;
    case DType::i64:
      return &run_cast<From, int64_t>;
    case DType::b8:
      return &run_cast<From, bool>;
    case DType::u8:
      return &run_cast<From, uint8_t>;
    case DType::bf16:
    case DType::f16:
      break;  // of no value of the CPU's
  }
  return nullptr;
}

TapeKernel cast_kernel(DType from, DType to) {
  switch (from) {
    case DType::f32:
      return cast_from<float>(to);
    case DType::f64:
      return cast_from<double>(to);
    case DType::i32:
      return cast_from<int32_t>(to);
    case DType::i64:
      return cast_from<int64_t>(to);
    case DType::b8:
      return cast_from<bool>(to);
    case DType::u8:
      return cast_from<uint8_t>(to);
    case DType::bf16:
    case DType::f16:
      break;  // of no value of the CPU's
  }
  return nullptr;
}

}  // namespace

TapeKernel tape_kernel(Operation op, DType from, DType to, unsigned scalars) {
  switch (op) {
    case Operation::cast:
      return scalars == 0 ? cast_kernel(from, to) : nullptr;
    case Operation::copy:
      return of_row<Row_copy>(from == DType::u8 ? DType::b8 : from, scalars);
    case Operation::select:
      return of_row<Row_select>(from == DType::u8 ? DType::b8 : from, scalars);
#define FORMULA(name, operands, types, result, cost) \
  case Operation::name:                              \
    return of_row<Row_##name>(from, scalars);
#include "ir/elementwise.def"
  }
  return nullptr;
}

}  // namespace slim::SLIM_ISA_NAMESPACE
