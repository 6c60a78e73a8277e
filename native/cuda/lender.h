// Memory of a GPU that somebody else in the process gives out, such as CuPy's pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>

namespace slim::cuda {

// Called from any thread, and by none that keeps a lock of ours.
struct Lender {
  // Of the GPU of this number; null: it has none. Nothing on any stream uses it any more.
  std::byte* (*allocate)(int device, int64_t bytes) noexcept;
  void (*release)(std::byte* data) noexcept;
  // What it has and nobody uses.
  int64_t (*free_bytes)(int device) noexcept;
};

// From then on; never ends.
void set_lender(const Lender* lender) noexcept;
const Lender* lender() noexcept;  // null: nobody lends

// What a driver was lent.
class Lent {
 public:
  std::byte* take(int device, int64_t bytes);  // null: its own is needed
  bool give_back(std::byte* data) noexcept;    // false: it is not lent

 private:
  std::mutex mutex_;
  std::set<const std::byte*> pieces_;
};

}  // namespace slim::cuda
