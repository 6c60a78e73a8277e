// A dimension: an integer, a symbol (B the batch), or a polynomial of them with // atoms.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace slim {

// Canonical: two equal dimensions have equal terms, so == is exact and str() round-trips.
class Dim {
 public:
  Dim() = default;
  Dim(int64_t value);  // NOLINT(google-explicit-constructor): integers are dims
  static Dim symbol(const std::string& name);
  static Dim parse(const std::string& text);  // throws std::invalid_argument

  std::string str() const;
  std::optional<int64_t> constant() const;
  // c when this is c*symbol with c >= 1 (the batch dimension of a flattened value too).
  std::optional<int64_t> multiple_of(const std::string& symbol) const;
  bool mentions(const std::string& symbol) const;
  // Overflow-checked; throws std::invalid_argument for an unknown symbol or overflow.
  int64_t evaluate(const std::map<std::string, int64_t>& symbols) const;

  Dim operator+(const Dim& other) const;
  Dim operator*(const Dim& other) const;
  Dim floor_divide(const Dim& other) const;
  std::optional<Dim> exact_divide(const Dim& other) const;
  bool operator==(const Dim&) const = default;

 private:
  static Dim floor_atom(const Dim& above, const Dim& below);

  // monomial ("B", "B*T", "((B+1)//2)*T", "" for the constant) -> coefficient, never 0
  std::map<std::string, int64_t> terms_;
};

}  // namespace slim
