// The memory of the emulated device: closed to all but what runs on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace slim::cuda {

// Host code that reads or writes a value there ends the process, and so does a kernel that goes
// beyond the pages of a piece. What is fresh holds NaN and -1. Calls from one thread at a time.
class GuardedMemory {
 public:
  ~GuardedMemory();

  std::byte* allocate(int64_t bytes);  // null: the machine has none
  void release(std::byte* data) noexcept;
  void open() noexcept;
  void close() noexcept;

  int64_t used() const { return used_; }
  int64_t pieces() const { return static_cast<int64_t>(pieces_.size()); }
  bool holds(const std::byte* data) const;  // it lies in a piece
  // Whether they lie in one piece, or in none of them.
  bool is_within(const std::byte* data, int64_t bytes) const;

 private:
  struct Piece {
    int64_t bytes;  // of what was asked for
    size_t pages;   // bytes of the pages, without the closed ones around them
  };
  std::map<const std::byte*, Piece> pieces_;
  int64_t used_ = 0;
};

}  // namespace slim::cuda
