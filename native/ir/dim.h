// A dimension: an integer, a symbol (B the batch), or a polynomial of them with // atoms.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace slim {

// Canonical: two equal dimensions have equal terms, so == is exact and str() round-trips. An
// integer is held by itself, terms are shared: copies are cheap.
class Dim {
 public:
  Dim() = default;
  Dim(int64_t value)
      : constant_(value) {}  // NOLINT(google-explicit-constructor): integers are dims
  static Dim symbol(const std::string& name);
  static Dim parse(std::string_view text);  // throws std::invalid_argument

  std::string str() const;
  std::optional<int64_t> constant() const {
    return terms_ == nullptr ? std::optional(constant_) : std::nullopt;
  }
  // c when this is c*symbol with c >= 1 (the batch dimension of a flattened value too).
  std::optional<int64_t> multiple_of(const std::string& symbol) const;
  bool mentions(const std::string& symbol) const;
  void add_symbols(std::set<std::string>& found) const;
  // Overflow-checked; throws std::invalid_argument for an unknown symbol or overflow.
  int64_t evaluate(const std::map<std::string, int64_t>& symbols) const;
  // With numbers in place of these symbols; others stay. Throws as evaluate does.
  Dim substitute(const std::map<std::string, int64_t>& symbols) const;

  Dim operator+(const Dim& other) const;
  Dim operator*(const Dim& other) const;
  Dim floor_divide(const Dim& other) const;
  std::optional<Dim> exact_divide(const Dim& other) const;
  bool operator==(const Dim& other) const {
    if (terms_ == nullptr || other.terms_ == nullptr) {
      return terms_ == other.terms_ && constant_ == other.constant_;
    }
    return terms_ == other.terms_ || *terms_ == *other.terms_;
  }

 private:
  // monomial ("B", "B*T", "((B+1)//2)*T", "" for the constant) -> coefficient, never 0
  using Terms = std::map<std::string, int64_t>;

  explicit Dim(Terms terms);
  Terms terms() const;  // of an integer too
  static Dim floor_atom(const Dim& above, const Dim& below);

  int64_t constant_ = 0;                // where there are no terms
  std::shared_ptr<const Terms> terms_;  // null: an integer
};

}  // namespace slim
