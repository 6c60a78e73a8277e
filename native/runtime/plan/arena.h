// Memory that is allocated once, before a loop: aligned, zero, with readable slack behind it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/kernel.h"

namespace slim {

inline int64_t round_up(int64_t bytes, int64_t unit = kAlignment) {
  return (bytes + unit - 1) / unit * unit;
}

class Arena {
 public:
  Arena() = default;
  explicit Arena(int64_t bytes);

  std::byte* data() const { return data_; }
  int64_t size() const { return size_; }

  // Arenas allocated since the process began: a training loop must not move this.
  static int64_t allocations();

 private:
  struct Free {
    void operator()(void* memory) const;
  };
  std::unique_ptr<void, Free> memory_;
  std::byte* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace slim
