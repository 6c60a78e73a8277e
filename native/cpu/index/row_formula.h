// A dimension expression as a few stack instructions: a launch evaluates it for its row count
// without allocating or failing.
#pragma once

#include <cctype>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "ir/dim.h"

namespace slim::SLIM_ISA_NAMESPACE {

// Reads what Dim::str prints: terms of B (or P, an update's rows), integers, + - * // ( ).
class RowFormula {
 public:
  RowFormula() = default;
  explicit RowFormula(const std::string& text) : text_(Dim::parse(text).str()) {
    sum();
    if (at_ != text_.size() || depth_ != 1) fail();
  }

  // In double: exact to 2^53 rows, and nothing that a text asks for can overflow or trap.
  double operator()(int64_t rows) const noexcept {
    double stack[kDepth];
    int top = -1;
    for (const Step& step : steps_) {
      switch (step.kind) {
        case Kind::number:
          stack[++top] = static_cast<double>(step.number);
          break;
        case Kind::rows:
          stack[++top] = static_cast<double>(rows);
          break;
        case Kind::add:
          --top, stack[top] += stack[top + 1];
          break;
        case Kind::subtract:
          --top, stack[top] -= stack[top + 1];
          break;
        case Kind::multiply:
          --top, stack[top] *= stack[top + 1];
          break;
        case Kind::floor_divide:
          --top, stack[top] = std::floor(stack[top] / stack[top + 1]);
          break;
      }
    }
    return stack[top];
  }

 private:
  enum class Kind : uint8_t { number, rows, add, subtract, multiply, floor_divide };
  struct Step {
    Kind kind;
    int64_t number;
  };
  static constexpr int kDepth = 32;

  [[noreturn]] void fail() const {
    throw std::invalid_argument("dim=\"" + text_ + "\" must be an expression of B alone");
  }

  bool take(const char* word) {
    const size_t n = std::char_traits<char>::length(word);
    if (text_.compare(at_, n, word) != 0) return false;
    at_ += n;
    return true;
  }

  void push(Kind kind, int64_t number) {
    steps_.push_back({kind, number});
    depth_ += kind == Kind::number || kind == Kind::rows ? 1 : -1;
    if (depth_ > kDepth) fail();
  }

  void sum() {
    if (++nesting_ > kDepth) fail();
    if (take("-")) {
      push(Kind::number, -1);
      product();
      push(Kind::multiply, 0);
    } else {
      product();
    }
    for (;;) {
      if (take("+")) {
        product();
        push(Kind::add, 0);
      } else if (take("-")) {
        product();
        push(Kind::subtract, 0);
      } else {
        break;
      }
    }
    --nesting_;
  }

  void product() {
    atom();
    for (;;) {
      if (take("//")) {
        atom();
        push(Kind::floor_divide, 0);
      } else if (take("*")) {
        atom();
        push(Kind::multiply, 0);
      } else {
        break;
      }
    }
  }

  void atom() {
    if (take("(")) {
      sum();
      if (!take(")")) fail();
    } else if (at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_]))) {
      size_t used = 0;
      push(Kind::number, std::stoll(text_.substr(at_, 18), &used));
      at_ += used;
    } else if (take("B") || take("P")) {
      push(Kind::rows, 0);
    } else {
      fail();
    }
  }

  std::string text_;
  size_t at_ = 0;
  int depth_ = 0;
  int nesting_ = 0;
  std::vector<Step> steps_;
};

}  // namespace slim::SLIM_ISA_NAMESPACE
