// Where a device keeps what its launches address, and the way there and back.
#pragma once

#include <cstddef>
#include <cstdint>

namespace slim {

// Of a memory that is not the host's, the host only knows addresses: it counts with them, and
// reads and writes what lies there through this table, once all launches before have ended.
class Memory {
 public:
  virtual ~Memory() = default;
  // Whether host code and launches see one memory: then arrays are lent where they lie.
  virtual bool is_host() const = 0;
  // At a multiple of kAlignment, with anything in it. Throws std::bad_alloc.
  virtual std::byte* allocate(int64_t bytes) = 0;
  virtual void release(std::byte* data) noexcept = 0;
  virtual void to_device(std::byte* to, const std::byte* from, int64_t bytes) noexcept = 0;
  virtual void to_host(std::byte* to, const std::byte* from, int64_t bytes) noexcept = 0;
  // Both in this memory.
  virtual void copy(std::byte* to, const std::byte* from, int64_t bytes) noexcept = 0;
  virtual void fill(std::byte* to, uint8_t value, int64_t bytes) noexcept = 0;
};

Memory& host_memory();

}  // namespace slim
