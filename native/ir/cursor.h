// One line of a program's text and a place in it: words, names, types, attribute values.
#pragma once

#include <algorithm>
#include <charconv>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

#include "ir/graph.h"

namespace slim::reading {

inline constexpr size_t kMaxRank = 8;

[[noreturn]] inline void refuse(int line, const std::string& text) {
  throw std::invalid_argument("line " + std::to_string(line) + ": " + text);
}

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
inline bool is_name(char c) {
  return is_word(c) || c == '.' || c == '/' || c == ':' || c == '@' || c == '-';
}

// Of a string in quotes, what stands for itself: char is signed.
inline bool is_plain(char c) { return c >= ' ' && c != '"' && c != '\\'; }

inline void append_utf8(std::string& text, uint32_t code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr uint32_t kLead[] = {0, 0xC0, 0xE0, 0xF0};
  text += static_cast<char>(kLead[more] | code >> (6 * more));
  for (int i = more - 1; i >= 0; --i) text += static_cast<char>(0x80 | (code >> (6 * i) & 0x3F));
}

// One line and a place in it.
class Cursor {
 public:
  Cursor() = default;
  Cursor(std::string_view text, int line) : text_(text), line_(line) { skip(); }

  int line() const { return line_; }
  bool at_end() const { return at_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }

  [[noreturn]] void fail(const std::string& expected) const {
    const std::string_view rest = text_.substr(at_, 40);
    refuse(line_, "expected " + expected + ", found " +
                      (at_end() ? "the end of the line" : '\'' + std::string(rest) + '\''));
  }

  bool take(std::string_view token) {
    if (text_.size() - at_ < token.size() ||
        std::char_traits<char>::compare(text_.data() + at_, token.data(), token.size()) != 0) {
      return false;
    }
    at_ += token.size();
    skip();
    return true;
  }
  // A keyword: the word and then no further letter.
  bool take_word(std::string_view word) {
    const size_t end = at_ + word.size();
    if (end < text_.size() && is_word(text_[end])) return false;
    return take(word);
  }
  void expect(std::string_view token) {
    if (!take(token)) fail('\'' + std::string(token) + '\'');
  }
  void end() {
    if (!at_end()) fail("the end of the line");
  }

  // What these find is a part of the line.
  std::string_view word(const char* what) { return run(is_word, what); }
  std::string_view name() {
    if (peek() != '%') fail("a name such as %x");
    ++at_;
    return run(is_name, "a name after %");
  }
  std::string_view symbol(const char* what) { return run(is_name, what); }

  Type type() {
    Type type;
    for (const Storage storage : {Storage::csr, Storage::rows}) {
      if (take_word(name_of(storage))) type.storage = storage;
    }
    const std::string_view word = this->word("a type such as f32[B,20]");
    bool known = false;
    for (int i = 0; i <= static_cast<int>(DType::u8); ++i) {
      if (word != name_of(static_cast<DType>(i))) continue;
      type.dtype = static_cast<DType>(i);
      known = true;
    }
    if (!known) {
      refuse(line_, "expected one of f32 f64 i32 i64 bool u8, found '" + std::string(word) + '\'');
    }
    expect("[");
    while (!take("]")) {
      if (!type.dims.empty()) expect(",");
      if (type.dims.size() == kMaxRank) refuse(line_, "a type has at most 8 dimensions");
      type.dims.push_back(dim());
    }
    return type;
  }

  Attribute attribute() {
    if (peek() == '"') return string();
    if (take_word("true")) return true;
    if (take_word("false")) return false;
    if (!take("[")) return number();
    std::vector<int64_t> integers;
    std::vector<double> floats;
    while (!take("]")) {
      if (!integers.empty() || !floats.empty()) expect(",");
      const Attribute item = number();
      if (const int64_t* value = std::get_if<int64_t>(&item)) {
        integers.push_back(*value);
      } else {
        floats.push_back(std::get<double>(item));
      }
      if (!integers.empty() && !floats.empty()) fail("a list of integers or a list of floats");
    }
    if (!floats.empty()) return floats;
    return integers;
  }

  template <class Is>
  std::string_view run(Is is, const char* what) {
    const size_t start = at_;
    while (at_ < text_.size() && is(text_[at_])) ++at_;
    if (at_ == start) fail(what);
    const std::string_view found = text_.substr(start, at_ - start);
    skip();
    return found;
  }

  // In quotes, as JSON has them: what remains is UTF-8.
  std::string string() {
    std::string value;
    ++at_;
    for (;;) {
      const size_t start = at_;
      while (at_ < text_.size() && is_plain(text_[at_])) ++at_;
      value.append(text_.data() + start, at_ - start);
      if (at_end()) fail("a closing '\"'");
      const unsigned char c = text_[at_++];
      if (c == '"') break;
      if (c == '\\') {
        append_utf8(value, escape());
      } else if (c < 0x20) {
        refuse(line_, "a control character in a string");
      } else {
        --at_;
        append_utf8(value, utf8());
      }
    }
    skip();
    return value;
  }

 private:
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }

  Dim dim() {
    const size_t start = at_;
    while (at_ < text_.size() && (is_word(text_[at_]) || std::string_view("+-*/() ").find(
                                                             text_[at_]) != std::string_view::npos))
      ++at_;
    std::string text(text_.substr(start, at_ - start));
    if (!text.empty() && text.size() < 18 && std::all_of(text.begin(), text.end(), is_digit)) {
      return std::stoll(text);
    }
    std::erase(text, ' ');
    try {
      const Dim dim = Dim::parse(text);
      if (dim.constant().value_or(0) < 0) refuse(line_, "a dimension is negative: " + text);
      return dim;
    } catch (const std::invalid_argument& error) {
      refuse(line_, error.what());
    }
  }

  Attribute number() {
    if (take_word("inf")) return std::numeric_limits<double>::infinity();
    if (take_word("-inf")) return -std::numeric_limits<double>::infinity();
    if (take_word("nan")) return std::numeric_limits<double>::quiet_NaN();
    const size_t start = at_;
    bool whole = true;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const bool sign = (c == '-' || c == '+') && (at_ == start || text_[at_ - 1] == 'e');
      if (!is_digit(c) && c != '.' && c != 'e' && !sign) break;
      whole = whole && (is_digit(c) || sign);
      ++at_;
    }
    const std::string_view digits = text_.substr(start, at_ - start);
    const char* last = digits.data() + digits.size();
    int64_t integer = 0;
    double value = 0;
    const auto result = whole ? std::from_chars(digits.data(), last, integer)
                              : std::from_chars(digits.data(), last, value);
    if (result.ec == std::errc::result_out_of_range)
      refuse(line_, "a number out of range: " + std::string(digits.substr(0, 40)));
    if (digits.empty() || result.ec != std::errc() || result.ptr != last) {
      at_ = start;
      fail("a value: a number, true, false, a \"string\" or a [list]");
    }
    skip();
    return whole ? Attribute(integer) : Attribute(value);
  }

  uint32_t escape() {
    const char c = peek();
    ++at_;
    constexpr std::string_view kLetters = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
    const size_t known = kLetters.find(c);
    if (c != '\0' && known != kLetters.npos) return static_cast<unsigned char>(kMeant[known]);
    if (c != 'u') refuse(line_, "an unknown escape in a string");
    const uint32_t unit = hex4();
    if (unit < 0xD800 || unit > 0xDFFF) return unit;
    if (unit > 0xDBFF || text_.substr(at_, 2) != "\\u")
      refuse(line_, "half a surrogate pair in a string");
    at_ += 2;
    const uint32_t low = hex4();
    if (low < 0xDC00 || low > 0xDFFF) refuse(line_, "half a surrogate pair in a string");
    return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
  }

  uint32_t hex4() {
    uint32_t value = 0;
    const std::string_view digits = text_.substr(std::min(at_, text_.size()), 4);
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 4 || result.ptr != digits.data() + 4)
      refuse(line_, "expected four hexadecimal digits after \\u");
    at_ += 4;
    return value;
  }

  uint32_t utf8() {
    const auto byte = [&](size_t i) {
      return at_ + i < text_.size() ? static_cast<unsigned char>(text_[at_ + i]) : 0u;
    };
    const uint32_t first = byte(0);
    const int more = first >= 0xC2 && first < 0xE0   ? 1
                     : first >= 0xE0 && first < 0xF0 ? 2
                     : first >= 0xF0 && first < 0xF5 ? 3
                                                     : 0;
    uint32_t code = first & (0x3Fu >> more);
    bool valid = more > 0;
    for (int i = 1; i <= more; ++i) {
      valid = valid && (byte(i) & 0xC0u) == 0x80u;
      code = code << 6 | (byte(i) & 0x3Fu);
    }
    constexpr uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
    valid = valid && code >= kLeast[more] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
    if (!valid) refuse(line_, "a string is not UTF-8");
    at_ += 1 + more;
    return code;
  }

  std::string_view text_;
  int line_ = 0;
  size_t at_ = 0;
};

}  // namespace slim::reading
