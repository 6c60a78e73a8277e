// Expressions as C: the same words in CUDA. Integers wrap around as the kernels' do.
#include "kernels/trace/expression.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "ir/type_rules.h"

namespace slim {

namespace {

constexpr int kMostHeight = 4;

template <class T>
std::string digits(T value) {
  char buffer[64];
  std::string text(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
  if (text.find_first_of(".e") == text.npos) text += ".0";
  return text;
}

bool is_integer(DType dtype) { return dtype == DType::i32 || dtype == DType::i64; }

}  // namespace

Term argument(std::string name, DType dtype) {
  return std::make_shared<Expression>(
      Expression{Expression::Kind::argument, dtype, std::move(name)});
}

Term constant(double number, DType dtype) {
  return std::make_shared<Expression>(Expression{Expression::Kind::number, dtype, {}, {}, number});
}

Term constant(int64_t integer, DType dtype) {
  return std::make_shared<Expression>(
      Expression{Expression::Kind::integer, dtype, {}, {}, 0, integer});
}

std::string c_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "float";
    case DType::f64:
      return "double";
    case DType::i32:
      return "int32_t";
    case DType::i64:
      return "int64_t";
    case DType::b8:
    case DType::u8:
      return "uint8_t";
    case DType::bf16:
      return "slim::Bfloat16";
    case DType::f16:
      return "slim::Half";
  }
  return {};
}

std::string c_literal(double number, DType dtype) {
  const char* sign = std::signbit(number) ? "-" : "";
  if (std::isnan(number)) return "NAN";
  if (dtype == DType::f32) {
    const auto single = static_cast<float>(number);
    return std::isinf(single) ? std::string(sign) + "INFINITY" : digits(single) + 'f';
  }
  return std::isinf(number) ? std::string(sign) + "INFINITY" : digits(number);
}

std::string c_literal(int64_t integer) {
  if (integer == std::numeric_limits<int64_t>::min()) return "(-9223372036854775807LL - 1)";
  if (integer == std::numeric_limits<int32_t>::min()) return "(-2147483647 - 1)";
  const bool narrow = static_cast<int32_t>(integer) == integer;
  return std::to_string(integer) + (narrow ? "" : "LL");
}

std::string ExpressionPrinter::print(const Term& term) {
  count(term.get());
  return of(term, true).text;
}

void ExpressionPrinter::count(const Expression* expression) {
  if (uses_[expression]++ > 0) return;
  for (const Term& operand : expression->operands) count(operand.get());
}

ExpressionPrinter::Text ExpressionPrinter::of(const Term& term, bool root) {
  using Kind = Expression::Kind;
  const Expression& e = *term;
  switch (e.kind) {
    case Kind::argument:
      return {e.text, 0, false};
    case Kind::number:
      return {c_literal(e.number, e.dtype), 0, false};
    case Kind::integer:
      return {c_literal(e.integer), 0, false};
    default:
      break;
  }
  if (const auto found = names_.find(&e); found != names_.end()) return {found->second, 0, false};
  Text text = compose(e);
  if (root || (uses_[&e] == 1 && text.height < kMostHeight)) return text;
  std::string& name = names_[&e];
  name = "t" + std::to_string(names_.size() - 1);
  statements.push_back("const " + c_type(e.dtype) + ' ' + name + " = " + text.text + ';');
  return {name, 0, false};
}

ExpressionPrinter::Text ExpressionPrinter::compose(const Expression& e) {
  using Kind = Expression::Kind;
  std::vector<std::string> plain, inside;  // inside: fit to be an operator's operand
  int height = 0;
  for (const Term& operand : e.operands) {
    const Text text = of(operand, false);
    height = std::max(height, text.height);
    plain.push_back(text.text);
    inside.push_back(text.operation ? '(' + text.text + ')' : text.text);
  }
  ++height;
  const std::string type = c_type(e.dtype);
  switch (e.kind) {
    case Kind::prefix:
      if (is_integer(e.dtype) && e.text == "-") {
        return {'(' + type + ")(0u - (u" + type + ')' + inside[0] + ')', height, true};
      }
      return {e.text + (inside[0][0] == '-' ? '(' + inside[0] + ')' : inside[0]), height, true};
    case Kind::infix:
      if (is_integer(e.dtype) &&
          (e.text == "+" || e.text == "-" || e.text == "*" || e.text == "<<")) {
        const std::string word = "(u" + type + ')';
        const std::string second = e.text == "<<" ? inside[1] : word + inside[1];
        return {'(' + type + ")(" + word + inside[0] + ' ' + e.text + ' ' + second + ')', height,
                true};
      }
      return {inside[0] + ' ' + e.text + ' ' + inside[1], height, true};
    case Kind::choose:
      return {inside[0] + " ? " + inside[1] + " : " + inside[2], height, true};
    case Kind::bits:
      return {std::string("slim_as_") + name_of(e.dtype) + '(' + plain[0] + ')', height, false};
    case Kind::convert:
      if (e.dtype == DType::b8) return {inside[0] + " != 0", height, true};
      if (is_float(e.operands[0]->dtype) && !is_float(e.dtype)) {
        return {std::string("slim_whole_") + name_of(e.dtype) + '(' + plain[0] + ')', height,
                false};
      }
      return {'(' + type + ')' + inside[0], height, true};
    case Kind::call: {
      std::string text = e.text + (e.dtype == DType::f32 ? "f(" : "(");
      for (size_t i = 0; i < plain.size(); ++i) text += (i > 0 ? ", " : "") + plain[i];
      return {text + ')', height, false};
    }
    default:
      return {};
  }
}

}  // namespace slim
