// Memory that is allocated once, before a loop: aligned, with readable slack behind it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/kernel.h"
#include "runtime/device/memory.h"

namespace slim {

inline int64_t round_up(int64_t bytes, int64_t unit = kAlignment) {
  return (bytes + unit - 1) / unit * unit;
}

class Arena {
 public:
  Arena() = default;
  // Of the host: all zero.
  explicit Arena(int64_t bytes);
  // Of a device; what is in it, nobody knows, but in the host's memory it is zero.
  Arena(int64_t bytes, Memory& memory);

  std::byte* data() const { return data_; }
  int64_t size() const { return size_; }

  // Arenas allocated since the process began: a training loop must not move this.
  static int64_t allocations();

 private:
  struct Free {
    Free() : device(nullptr) {}
    explicit Free(Memory* memory) : device(memory) {}
    void operator()(void* memory) const;
    Memory* device;  // null: the host
  };
  std::unique_ptr<void, Free> memory_;
  std::byte* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace slim
