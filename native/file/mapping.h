// The bytes of a file: mapped into memory, or held as they came; and writing a file whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/plan/arena.h"

namespace slim {

// The system refused; `code` is its errno.
struct FileError : std::runtime_error {
  FileError(int code, std::string path);
  int code;
  std::string path;
};

// Begins at a multiple of kAlignment. Writing to it changes this process's copy of a page,
// never the file; whoever cuts the file short meanwhile takes the pages away.
class Mapping {
 public:
  // Throws std::invalid_argument for more than `most` bytes, before any is read.
  static Mapping of_file(const std::string& path, int64_t most = INT64_MAX);
  static Mapping of_bytes(std::string_view bytes);
  static void refuse_over(int64_t bytes, int64_t most);
  Mapping(Mapping&& other) noexcept;
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::byte* data() const { return data_; }
  int64_t size() const { return size_; }
  std::string_view bytes() const {
    return {reinterpret_cast<const char*>(data_), static_cast<size_t>(size_)};
  }

 private:
  Mapping() = default;

  std::byte* data_ = nullptr;
  int64_t size_ = 0;
  Arena copy_;  // of bytes; without it data_ is mapped
};

// All pieces one after the other, on the disk when it returns: beside `path` and then moved
// there, so that a crash leaves the old file or the new one; one in the very instant between
// leaves the new one, whole, beside the old (`.tmp`). Links are followed, the mode of an old file
// is kept; what is no file, such as a pipe, is written to. `finish` is called once, when all is
// written that can be, and may change bytes of the first piece. Throws FileError.
void write_file(
    const std::string& path, const std::vector<std::string_view>& pieces,
    const std::function<void()>& finish = [] {});

}  // namespace slim
