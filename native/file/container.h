// A safetensors file: JSON that says where named arrays lie, then their bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace slim {

// u64 length of the header, the header, the bytes of the arrays without a gap. So that each
// array begins at a multiple of kAlignment, with as much behind the last, there are arrays of
// zeros between them, "#padding/0" and on. What the safetensors package writes of the same
// arrays has them in another order, and is read too.
struct StoredArray {
  std::string name;
  std::string dtype;  // the container's word: F32, BOOL …
  std::vector<int64_t> shape;
  const std::byte* data = nullptr;
  int64_t bytes = 0;
};

struct Container {
  std::map<std::string, std::string> metadata;
  std::vector<StoredArray> arrays;  // in the order of their bytes; without padding

  // Borrows the bytes of the file. Throws std::invalid_argument.
  static Container read(std::string_view file);
  // The file in pieces: `header` is filled in, the rest borrowed.
  std::vector<std::string_view> pieces(std::string& header) const;
};

// Bytes of an element; 0 for a word that is none.
int64_t element_bytes(std::string_view dtype);

// Refuses a file by what is wrong in it. Throws std::invalid_argument.
[[noreturn]] void damaged(const std::string& how);

// Of untrusted bytes: what is no printable ASCII as a question mark.
std::string printable(std::string_view text);

}  // namespace slim
