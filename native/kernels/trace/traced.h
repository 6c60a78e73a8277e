// Vectors that note the steps of a formula instead of computing it: the words of cpu/vec.h, in
// which kernels/formulas/ is written, for values of one lane.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "kernels/trace/expression.h"

#define SLIM_ISA_NAMESPACE traced
#define SLIM_INLINE inline

namespace slim::traced {

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  if constexpr (std::is_same_v<T, double>) return DType::f64;
  if constexpr (std::is_same_v<T, int32_t>) return DType::i32;
  if constexpr (std::is_same_v<T, int64_t>) return DType::i64;
  return DType::b8;
}

template <class T>
class Traced {
  using Kind = Expression::Kind;

 public:
  using Element = T;
  // Of a test: what comparisons give, and the bits of a number.
  using Bits = Traced<std::conditional_t<sizeof(T) == 8, int64_t, int32_t>>;

  Traced() : Traced(T{}) {}
  Traced(T value) {  // NOLINT(google-explicit-constructor): formulas mix the two
    if constexpr (std::is_floating_point_v<T>) {
      term = constant(static_cast<double>(value), dtype_of<T>());
    } else {
      term = constant(static_cast<int64_t>(value), dtype_of<T>());
    }
  }
  explicit Traced(Term of) : term(std::move(of)) {}
  Traced(Kind kind, const char* text, std::vector<Term> operands, DType dtype = dtype_of<T>())
      : term(std::make_shared<Expression>(Expression{kind, dtype, text, std::move(operands)})) {}

  bool is_test() const { return term->dtype == DType::b8; }

  friend Traced operator-(const Traced& a) { return {Kind::prefix, "-", {a.term}}; }
  friend Traced operator+(const Traced& a, const Traced& b) { return infix("+", a, b); }
  friend Traced operator-(const Traced& a, const Traced& b) { return infix("-", a, b); }
  friend Traced operator*(const Traced& a, const Traced& b) { return infix("*", a, b); }
  friend Traced operator/(const Traced& a, const Traced& b) { return infix("/", a, b); }
  friend Traced operator<<(const Traced& a, int n) { return infix("<<", a, Traced(T(n))); }
  friend Traced operator>>(const Traced& a, int n) { return infix(">>", a, Traced(T(n))); }
  friend Traced operator^(const Traced& a, const Traced& b) { return infix("^", a, b); }
  friend Traced operator&(const Traced& a, const Traced& b) { return logical("&", "&&", a, b); }
  friend Traced operator|(const Traced& a, const Traced& b) { return logical("|", "||", a, b); }
  friend Traced operator~(const Traced& a) {
    return {Kind::prefix, a.is_test() ? "!" : "~", {a.term}, a.term->dtype};
  }
  friend Traced operator!(const Traced& a) { return ~a; }
  friend Traced operator&&(const Traced& a, const Traced& b) { return a & b; }
  friend Traced operator||(const Traced& a, const Traced& b) { return a | b; }
  friend Bits operator<(const Traced& a, const Traced& b) { return test("<", a, b); }
  friend Bits operator<=(const Traced& a, const Traced& b) { return test("<=", a, b); }
  friend Bits operator>(const Traced& a, const Traced& b) { return test(">", a, b); }
  friend Bits operator>=(const Traced& a, const Traced& b) { return test(">=", a, b); }
  friend Bits operator==(const Traced& a, const Traced& b) { return test("==", a, b); }
  friend Bits operator!=(const Traced& a, const Traced& b) { return test("!=", a, b); }
  Traced& operator+=(const Traced& b) { return *this = *this + b; }
  Traced& operator-=(const Traced& b) { return *this = *this - b; }

  Term term;

 private:
  static Traced infix(const char* op, const Traced& a, const Traced& b) {
    return {Kind::infix, op, {a.term, b.term}};
  }
  static Traced logical(const char* of_bits, const char* of_tests, const Traced& a,
                        const Traced& b) {
    const bool tests = a.is_test() && b.is_test();
    return {Kind::infix, tests ? of_tests : of_bits, {a.term, b.term}, a.term->dtype};
  }
  static Bits test(const char* op, const Traced& a, const Traced& b) {
    return {Kind::infix, op, {a.term, b.term}, DType::b8};
  }
};

template <class T>
using Vec = Traced<T>;
template <class V>
using Lane = typename V::Element;
template <class V>
using Mask = typename V::Bits;
using F32 = Vec<float>;
using F64 = Vec<double>;

template <class V>
V broadcast(Lane<V> x) {
  return V(x);
}

template <class V, class... Operands>
V call(const char* name, const Operands&... operands) {
  return {Expression::Kind::call, name, {operands.term...}};
}

template <class To, class V>
To bits_as(const V& v) {
  if constexpr (std::is_same_v<To, V>) return v;
  return To(Expression::Kind::bits, "", {v.term});
}

template <class To, class V>
To convert(const V& v) {
  return {Expression::Kind::convert, "", {v.term}};
}

template <class V>
V select(const Mask<V>& mask, const V& a, const V& b) {
  if (!mask.is_test()) throw std::logic_error("a formula selects by what is no test");
  return {Expression::Kind::choose, "", {mask.term, a.term, b.term}, a.term->dtype};
}

// What is only left out where no lane needs it is always computed.
template <class M>
bool any(const M&) {
  return true;
}

template <class V>
V fma(const V& a, const V& b, const V& c) {
  return call<V>("slim_fma", a, b, c);
}

template <class V>
V sqrt(const V& v) {
  return call<V>("sqrt", v);
}

template <class V>
V max_or_second(const V& a, const V& b) {
  return select(a > b, a, b);
}

template <class V>
V min_or_second(const V& a, const V& b) {
  return select(a < b, a, b);
}

template <class V>
V maximum(const V& a, const V& b) {
  if constexpr (std::is_integral_v<Lane<V>>) return max_or_second(a, b);
  return select(a != a, a, max_or_second(a, b));
}

template <class V>
V minimum(const V& a, const V& b) {
  if constexpr (std::is_integral_v<Lane<V>>) return min_or_second(a, b);
  return select(a != a, a, min_or_second(a, b));
}

template <class V>
V absolute(const V& v) {
  if constexpr (std::is_integral_v<Lane<V>>) return select(v < V{}, -v, v);
  return call<V>("fabs", v);
}

template <class V>
V with_sign(const V& magnitude, const V& sign) {
  return call<V>("copysign", magnitude, sign);
}

enum class Rounding { nearest_even, down, up };

template <Rounding rounding, class V>
V round_to(const V& v) {
  return call<V>(rounding == Rounding::nearest_even ? "rint"
                 : rounding == Rounding::down       ? "floor"
                                                    : "ceil",
                 v);
}

template <class V, class Function>
V each_lane(const V& v, Function function) {
  return function(v);
}

template <class V, class Function>
V each_lane(const V& a, const V& b, Function function) {
  return function(a, b);
}

template <class V, class Function>
V each_lane_where(const Mask<V>& mask, const V& v, const V& otherwise, Function function) {
  return select(mask, V(function(v)), otherwise);
}

namespace libm {

template <class V>
V sin(const V& v) {
  return call<V>("sin", v);
}

template <class V>
V cos(const V& v) {
  return call<V>("cos", v);
}

template <class V>
V erf(const V& v) {
  return call<V>("erf", v);
}

template <class V>
V pow(const V& a, const V& b) {
  return call<V>("pow", a, b);
}

}  // namespace libm

}  // namespace slim::traced
