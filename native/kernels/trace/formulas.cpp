// Runs every row of elementwise.def on vectors that note its steps.
#include "kernels/trace/formulas.h"

#include "kernels/row_types.h"
#include "kernels/trace/traced.h"
// After the vectors that they are written in.
#include "kernels/formulas/circular.h"
#include "kernels/formulas/error_functions.h"
#include "kernels/formulas/math.h"
#include "kernels/formulas/sixteen_bits.h"

namespace slim::traced {

namespace {

struct Formulas : RowTypes {
  template <class T>
  static Term run(Operation op, const std::vector<Term>& arguments) {
    switch (op) {
#define UNARY(name, types, cost, formula) \
  case Operation::name:                   \
    if constexpr (in<T>(types)) {         \
      const Traced<T> x(arguments.at(0)); \
      return (formula).term;              \
    }                                     \
    break;
#define BINARY(name, types, cost, formula)                    \
  case Operation::name:                                       \
    if constexpr (in<T>(types)) {                             \
      const Traced<T> a(arguments.at(0)), b(arguments.at(1)); \
      return (formula).term;                                  \
    }                                                         \
    break;
#define TEST_UNARY(name, types, cost, formula) UNARY(name, types, cost, formula)
#define TEST_BINARY(name, types, cost, formula) BINARY(name, types, cost, formula)
#include "ir/elementwise.def"
      default:
        break;
    }
    return nullptr;
  }
};

}  // namespace

}  // namespace slim::traced

namespace slim {

Term formula_of(Operation op, DType from, DType to, const std::vector<Term>& arguments) {
  using Kind = Expression::Kind;
  switch (op) {
    case Operation::copy:
      return arguments.at(0);
    case Operation::cast:
      return std::make_shared<Expression>(Expression{Kind::convert, to, {}, {arguments.at(0)}});
    case Operation::select:
      return std::make_shared<Expression>(
          Expression{Kind::choose, from, {}, {arguments.at(0), arguments.at(1), arguments.at(2)}});
    default:
      break;
  }
  using traced::Formulas;
  switch (from) {
    case DType::f32:
      return Formulas::run<float>(op, arguments);
    case DType::f64:
      return Formulas::run<double>(op, arguments);
    case DType::i32:
      return Formulas::run<int32_t>(op, arguments);
    case DType::i64:
      return Formulas::run<int64_t>(op, arguments);
    case DType::b8:
      return Formulas::run<bool>(op, arguments);
    case DType::u8:
    case DType::bf16:
    case DType::f16:
      break;
  }
  return nullptr;
}

}  // namespace slim
