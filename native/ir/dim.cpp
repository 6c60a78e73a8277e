// Canonical polynomials over symbols and floor-division atoms, overflow-checked.
#include "ir/dim.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <numeric>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace slim {
namespace {

constexpr size_t kMaxCharacters = 1024;
constexpr size_t kMaxTerms = 64;
constexpr int kMaxDepth = 16;

[[noreturn]] void refuse(const std::string& text) { throw std::invalid_argument(text); }

int64_t checked_add(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) refuse("a dimension overflows 64 bits");
  return sum;
}

int64_t checked_multiply(int64_t a, int64_t b) {
  int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) refuse("a dimension overflows 64 bits");
  return product;
}

int64_t checked_floor_divide(int64_t a, int64_t b) {
  if (b <= 0) refuse("a dimension is divided by " + std::to_string(b));
  return a / b - (a % b < 0 ? 1 : 0);
}

// expression = ["-"] term {("+"|"-") term};  term = factor {("*"|"//") factor};
// factor = integer | symbol | "(" expression ")".  Values come from the algebra, so one
// grammar serves building polynomials and evaluating them.
template <class Algebra>
class Reader {
 public:
  using V = typename Algebra::Value;
  Reader(std::string_view text, const Algebra& algebra) : text_(text), algebra_(algebra) {
    if (text.size() > kMaxCharacters) refuse("a dimension of more than 1024 characters");
  }

  V all() {
    V value = expression(0);
    if (at_ != text_.size()) fail();
    return value;
  }

 private:
  V expression(int depth) {
    if (depth > kMaxDepth) refuse("a dimension is nested deeper than 16");
    V value = take('-') ? algebra_.negate(term(depth)) : term(depth);
    for (;;) {
      if (take('+')) {
        value = algebra_.add(value, term(depth));
      } else if (take('-')) {
        value = algebra_.add(value, algebra_.negate(term(depth)));
      } else {
        return value;
      }
    }
  }

  V term(int depth) {
    V value = factor(depth);
    for (;;) {
      if (take('*')) {
        value = algebra_.multiply(value, factor(depth));
      } else if (text_.substr(at_, 2) == "//") {
        at_ += 2;
        value = algebra_.floor_divide(value, factor(depth));
      } else {
        return value;
      }
    }
  }

  V factor(int depth) {
    if (take('(')) {
      V value = expression(depth + 1);
      if (!take(')')) fail();
      return value;
    }
    const size_t start = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    const std::string_view word = text_.substr(start, at_ - start);
    if (word.empty()) fail();
    if (word[0] < '0' || word[0] > '9') return algebra_.symbol(std::string(word));
    int64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size()) fail();
    return algebra_.integer(number);
  }

  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  static bool is_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  }
  [[noreturn]] void fail() const {
    refuse("not a dimension: '" + std::string(text_.substr(0, 80)) + "'");
  }

  std::string_view text_;
  size_t at_ = 0;
  const Algebra& algebra_;
};

struct Polynomials {
  using Value = Dim;
  Dim integer(int64_t n) const { return Dim(n); }
  Dim symbol(const std::string& name) const { return Dim::symbol(name); }
  Dim negate(const Dim& a) const { return a * Dim(-1); }
  Dim add(const Dim& a, const Dim& b) const { return a + b; }
  Dim multiply(const Dim& a, const Dim& b) const { return a * b; }
  Dim floor_divide(const Dim& a, const Dim& b) const { return a.floor_divide(b); }
};

struct Substituted : Polynomials {
  const std::map<std::string, int64_t>& symbols;
  explicit Substituted(const std::map<std::string, int64_t>& symbols) : symbols(symbols) {}
  Dim symbol(const std::string& name) const {
    const auto found = symbols.find(name);
    return found == symbols.end() ? Dim::symbol(name) : Dim(found->second);
  }
};

struct Numbers {
  using Value = int64_t;
  const std::map<std::string, int64_t>& symbols;
  int64_t integer(int64_t n) const { return n; }
  int64_t symbol(const std::string& name) const {
    const auto found = symbols.find(name);
    if (found == symbols.end()) refuse("the dimension " + name + " has no value here");
    return found->second;
  }
  int64_t negate(int64_t a) const { return checked_multiply(a, -1); }
  int64_t add(int64_t a, int64_t b) const { return checked_add(a, b); }
  int64_t multiply(int64_t a, int64_t b) const { return checked_multiply(a, b); }
  int64_t floor_divide(int64_t a, int64_t b) const { return checked_floor_divide(a, b); }
};

// "B*(T//2)" -> {"B", "(T//2)"}: a monomial's key joins its sorted factors, atoms in brackets.
std::vector<std::string> factors_of(const std::string& monomial) {
  std::vector<std::string> factors;
  int depth = 0;
  size_t start = 0;
  for (size_t i = 0; i <= monomial.size(); ++i) {
    const char c = i < monomial.size() ? monomial[i] : '*';
    if (c == '(') ++depth;
    if (c == ')') --depth;
    if (c != '*' || depth > 0) continue;
    if (i > start) factors.push_back(monomial.substr(start, i - start));
    start = i + 1;
  }
  return factors;
}

std::string join(const std::vector<std::string>& factors) {
  std::string joined;
  for (const std::string& factor : factors) joined += (joined.empty() ? "" : "*") + factor;
  if (joined.size() > kMaxCharacters) refuse("a dimension of more than 1024 characters");
  return joined;
}

std::string multiply_monomials(const std::string& a, const std::string& b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  std::vector<std::string> factors = factors_of(a);
  for (std::string& factor : factors_of(b)) factors.push_back(std::move(factor));
  std::sort(factors.begin(), factors.end());
  return join(factors);
}

void add_term(std::map<std::string, int64_t>& terms, const std::string& monomial, int64_t c) {
  const int64_t sum = checked_add(terms[monomial], c);
  if (sum == 0) {
    terms.erase(monomial);
  } else {
    terms[monomial] = sum;
  }
  if (terms.size() > kMaxTerms) refuse("a dimension of more than 64 terms");
}

}  // namespace

Dim::Dim(Terms terms) {
  if (terms.empty()) return;
  if (terms.size() == 1 && terms.begin()->first.empty()) {
    constant_ = terms.begin()->second;
  } else {
    terms_ = std::make_shared<const Terms>(std::move(terms));
  }
}

Dim::Terms Dim::terms() const {
  if (terms_ != nullptr) return *terms_;
  return constant_ == 0 ? Terms() : Terms{{"", constant_}};
}

Dim Dim::symbol(const std::string& name) { return Dim(Terms{{name, 1}}); }

Dim Dim::parse(std::string_view text) {
  static const Dim& rows = *new Dim(symbol("B"));  // never ends: a thread may outlive it at exit
  if (text == "B") return rows;
  const Polynomials algebra;
  return Reader<Polynomials>(text, algebra).all();
}

std::string Dim::str() const {
  if (terms_ == nullptr) return std::to_string(constant_);
  struct Term {
    size_t degree;
    const std::string* monomial;
    int64_t coefficient;
  };
  std::vector<Term> terms;
  for (const auto& [monomial, coefficient] : *terms_) {
    terms.push_back({factors_of(monomial).size(), &monomial, coefficient});
  }
  std::stable_sort(terms.begin(), terms.end(),
                   [](const Term& a, const Term& b) { return a.degree > b.degree; });
  std::string text;
  for (const Term& term : terms) {
    if (term.coefficient > 0 && !text.empty()) text += '+';
    if (term.degree == 0) {
      text += std::to_string(term.coefficient);
    } else if (term.coefficient == 1) {
      const std::string& m = *term.monomial;
      text += term.degree == 1 && m[0] == '(' ? m.substr(1, m.size() - 2) : m;
    } else if (term.coefficient == -1) {
      text += '-' + *term.monomial;
    } else {
      text += std::to_string(term.coefficient) + '*' + *term.monomial;
    }
  }
  return text;
}

std::optional<int64_t> Dim::multiple_of(const std::string& symbol) const {
  if (terms_ == nullptr || terms_->size() != 1 || terms_->begin()->first != symbol) {
    return std::nullopt;
  }
  if (terms_->begin()->second < 1) return std::nullopt;
  return terms_->begin()->second;
}

void Dim::add_symbols(std::set<std::string>& found) const {
  if (terms_ == nullptr) return;
  const auto is_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  };
  for (const auto& [monomial, coefficient] : *terms_) {
    for (size_t at = 0; at < monomial.size();) {
      size_t end = at;
      while (end < monomial.size() && is_word(monomial[end])) ++end;
      if (end > at && !std::isdigit(static_cast<unsigned char>(monomial[at]))) {
        found.insert(monomial.substr(at, end - at));
      }
      at = std::max(end, at + 1);
    }
  }
}

bool Dim::mentions(const std::string& symbol) const {
  if (terms_ == nullptr) return false;
  if (terms_->size() == 1 && terms_->begin()->first == symbol) return true;
  std::set<std::string> found;
  add_symbols(found);
  return found.count(symbol) > 0;
}

int64_t Dim::evaluate(const std::map<std::string, int64_t>& symbols) const {
  if (terms_ == nullptr) return constant_;
  const Numbers algebra{symbols};
  int64_t sum = 0;
  for (const auto& [monomial, coefficient] : *terms_) {
    const int64_t value = monomial.empty() ? 1 : Reader<Numbers>(monomial, algebra).all();
    sum = checked_add(sum, checked_multiply(coefficient, value));
  }
  return sum;
}

Dim Dim::substitute(const std::map<std::string, int64_t>& symbols) const {
  if (terms_ == nullptr) return *this;
  const Substituted algebra(symbols);
  return Reader<Substituted>(str(), algebra).all();
}

Dim Dim::operator+(const Dim& other) const {
  if (terms_ == nullptr && other.terms_ == nullptr) {
    return checked_add(constant_, other.constant_);
  }
  Terms sum = terms();
  for (const auto& [monomial, coefficient] : other.terms()) add_term(sum, monomial, coefficient);
  return Dim(std::move(sum));
}

Dim Dim::operator*(const Dim& other) const {
  if (terms_ == nullptr && other.terms_ == nullptr) {
    return checked_multiply(constant_, other.constant_);
  }
  Terms product;
  const Terms right = other.terms();
  for (const auto& [a, x] : terms()) {
    for (const auto& [b, y] : right) {
      add_term(product, multiply_monomials(a, b), checked_multiply(x, y));
    }
  }
  return Dim(std::move(product));
}

// a / b where b is one term that divides every term of a.
std::optional<Dim> Dim::exact_divide(const Dim& other) const {
  const Terms below = other.terms();
  if (below.size() != 1) return *this == other ? std::optional<Dim>(1) : std::nullopt;
  const auto& [divided_by, divisor] = *below.begin();
  Terms quotient;
  for (const auto& [monomial, coefficient] : terms()) {
    std::vector<std::string> rest = factors_of(monomial);
    for (const std::string& factor : factors_of(divided_by)) {
      const auto found = std::find(rest.begin(), rest.end(), factor);
      if (found == rest.end()) return std::nullopt;
      rest.erase(found);
    }
    if (divisor < 1 || coefficient % divisor != 0) return std::nullopt;
    add_term(quotient, join(rest), coefficient / divisor);
  }
  return Dim(std::move(quotient));
}

// By a number: whole multiples leave the numerator and the common divisor of the rest is
// cancelled, so (2*B+5)//2 is B+2 and (2*B)//4 is B//2.
Dim Dim::floor_divide(const Dim& other) const {
  if (const std::optional<int64_t> divisor = other.constant()) {
    if (*divisor <= 0) refuse("a dimension is divided by " + std::to_string(*divisor));
    Terms whole, rest;
    int64_t common = *divisor;
    for (const auto& [monomial, coefficient] : terms()) {
      const int64_t quotient = checked_floor_divide(coefficient, *divisor);
      const int64_t remainder = coefficient - quotient * *divisor;
      if (quotient != 0) add_term(whole, monomial, quotient);
      if (remainder != 0) add_term(rest, monomial, remainder);
      common = std::gcd(common, remainder);
    }
    if (Dim(rest).constant()) return Dim(std::move(whole));
    for (auto& term : rest) term.second /= common;
    return Dim(std::move(whole)) + floor_atom(Dim(std::move(rest)), *divisor / common);
  }
  const std::optional<Dim> exact = exact_divide(other);
  return exact ? *exact : floor_atom(*this, other);
}

Dim Dim::floor_atom(const Dim& above, const Dim& below) {
  // * and // group from the left, so a product may stand before // but not after it.
  const auto text = [](const Dim& dim, bool product) {
    bool plain = dim.constant() && *dim.constant() >= 0;
    if (!dim.constant()) {
      const Terms& terms = *dim.terms_;
      plain = terms.size() == 1 && terms.begin()->second == 1 &&
              (product || terms.begin()->first.find_first_of("(*") == std::string::npos);
    }
    return plain ? dim.str() : '(' + dim.str() + ')';
  };
  const std::string key = '(' + text(above, true) + "//" + text(below, false) + ')';
  if (key.size() > kMaxCharacters) refuse("a dimension of more than 1024 characters");
  return Dim(Terms{{key, 1}});
}

}  // namespace slim
