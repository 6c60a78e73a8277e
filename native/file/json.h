// Reads untrusted JSON straight into what it means: no tree, so no schema but the reader's.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "ir/cursor.h"

namespace slim {

// JSON on one line. What is no JSON, has a key twice or lies deeper than 64 levels is refused,
// and so are more than `most` values that are only checked: std::invalid_argument. Each function
// reads one value.
class JsonReader {
 public:
  explicit JsonReader(std::string_view text, int64_t most = INT64_MAX)
      : cursor_(text, 1), left_(most) {}

  // on_member(key) reads the value.
  template <class OnMember>
  void object(const OnMember& on_member) {
    std::set<std::string> keys;
    const auto read_member = [&] {
      if (cursor_.peek() != '"') cursor_.fail("a key in quotes");
      const auto [key, is_new] = keys.insert(cursor_.string());
      if (!is_new) refuse("the key " + *key + " stands twice");
      cursor_.expect(":");
      on_member(*key);
    };
    list("{", "}", read_member);
  }
  // on_item() reads an item.
  template <class OnItem>
  void array(const OnItem& on_item) {
    list("[", "]", on_item);
  }
  std::string string();
  int64_t whole();  // 0 or more, in digits
  double number();  // finite
  void any();
  void end() const;  // nothing but spaces are left

  [[noreturn]] void refuse(const std::string& text) const { reading::refuse(1, text); }

 private:
  template <class OnItem>
  void list(std::string_view open, std::string_view close, const OnItem& on_item) {
    if (++depth_ > 64) refuse("more than 64 levels");
    cursor_.expect(open);
    if (!cursor_.take(close)) {
      on_item();
      while (!cursor_.take(close)) {
        cursor_.expect(",");
        on_item();
      }
    }
    --depth_;
  }

  reading::Cursor cursor_;
  int depth_ = 0;
  int64_t left_;
};

}  // namespace slim
