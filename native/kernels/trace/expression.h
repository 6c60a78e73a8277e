// A formula as a tree of expressions that share what they have in common, and its text.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace slim {

struct Expression;
using Term = std::shared_ptr<const Expression>;

struct Expression {
  enum class Kind : uint8_t {
    argument,  // text: its name
    number,
    integer,
    prefix,   // text: the operator
    infix,    // text: the operator
    choose,   // operands[0] ? operands[1] : operands[2]
    call,     // text: the function of f64; that of f32 ends in f
    bits,     // the operand's bits under another type
    convert,  // the operand's value in another type
  };

  Kind kind;
  DType dtype;  // b8: a test
  std::string text = {};
  std::vector<Term> operands = {};
  double number = 0;
  int64_t integer = 0;
};

Term argument(std::string name, DType dtype);
Term constant(double number, DType dtype);
Term constant(int64_t integer, DType dtype);

// The type of an element in C and CUDA.
std::string c_type(DType dtype);
std::string c_literal(double number, DType dtype);  // of f32 and f64
std::string c_literal(int64_t integer);

// Prints formulas as statements `const float t0 = ...;` and an expression that is their value.
// What is read more than once, or is nested deeply, gets a name. A name is given once in a
// printer's life.
class ExpressionPrinter {
 public:
  std::string print(const Term& term);

  std::vector<std::string> statements;

 private:
  struct Text {
    std::string text;
    int height;      // 0: a name or a number
    bool operation;  // of operators: takes parentheses inside another
  };

  void count(const Expression* expression);
  Text of(const Term& term, bool root);
  Text compose(const Expression& expression);

  std::map<const Expression*, int> uses_;
  std::map<const Expression*, std::string> names_;
};

}  // namespace slim
