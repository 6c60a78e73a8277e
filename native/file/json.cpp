// JSON values that stand alone: strings, numbers, and any that are only checked.
#include "file/json.h"

#include <charconv>

namespace slim {
namespace {

bool in_number(char c) {
  return reading::is_digit(c) || std::string_view("+-.eE").find(c) != std::string_view::npos;
}

bool is_number(std::string_view text) {
  const auto digits = [&] {
    size_t count = 0;
    while (count < text.size() && reading::is_digit(text[count])) ++count;
    text.remove_prefix(count);
    return count;
  };
  const auto take = [&](std::string_view any_of) {
    const bool found = !text.empty() && any_of.find(text[0]) != any_of.npos;
    text.remove_prefix(found);
    return found;
  };
  take("-");
  if (!take("0") && digits() == 0) return false;
  if (take(".") && digits() == 0) return false;
  if (take("eE")) {
    take("+-");
    if (digits() == 0) return false;
  }
  return text.empty();
}

}  // namespace

std::string JsonReader::string() {
  if (cursor_.peek() != '"') cursor_.fail("a string");
  return cursor_.string();
}

int64_t JsonReader::whole() {
  const std::string_view word = cursor_.word("a whole number");
  int64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() ||
      (word.size() > 1 && word[0] == '0')) {
    refuse("expected a whole number below 2^63, found " + std::string(word.substr(0, 40)));
  }
  return value;
}

double JsonReader::number() {
  const std::string_view text = cursor_.run(in_number, "a number");
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (!is_number(text) || error != std::errc() || end != text.data() + text.size()) {
    refuse(std::string(text.substr(0, 40)) + " is no finite number");
  }
  return value;
}

void JsonReader::any() {
  if (--left_ < 0) refuse("there are too many values");
  const char first = cursor_.peek();
  if (first == '{') {
    object([&](const std::string&) { any(); });
  } else if (first == '[') {
    array([&] { any(); });
  } else if (first == '"') {
    cursor_.string();
  } else if (!cursor_.take_word("null") && !cursor_.take_word("true") &&
             !cursor_.take_word("false")) {
    const std::string_view text = cursor_.run(in_number, "a value");
    if (!is_number(text)) refuse(std::string(text.substr(0, 40)) + " is no number");
  }
}

void JsonReader::end() const {
  if (!cursor_.at_end()) cursor_.fail("the end");
}

}  // namespace slim
