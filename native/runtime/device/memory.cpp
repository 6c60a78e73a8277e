// The host's own memory.
#include "runtime/device/memory.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/kernel.h"

namespace slim {
namespace {

class HostMemory final : public Memory {
 public:
  bool is_host() const override { return true; }
  std::byte* allocate(int64_t bytes) override {
    const int64_t whole = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    void* memory = std::aligned_alloc(kAlignment, static_cast<size_t>(whole));
    if (memory == nullptr) throw std::bad_alloc();
    return static_cast<std::byte*>(memory);
  }
  void release(std::byte* data) noexcept override { std::free(data); }
  void to_device(std::byte* to, const std::byte* from, int64_t bytes) noexcept override {
    copy(to, from, bytes);
  }
  void to_host(std::byte* to, const std::byte* from, int64_t bytes) noexcept override {
    copy(to, from, bytes);
  }
  void copy(std::byte* to, const std::byte* from, int64_t bytes) noexcept override {
    if (bytes > 0) std::memcpy(to, from, static_cast<size_t>(bytes));
  }
  void fill(std::byte* to, uint8_t value, int64_t bytes) noexcept override {
    if (bytes > 0) std::memset(to, value, static_cast<size_t>(bytes));
  }
};

}  // namespace

Memory& host_memory() {
  static auto& memory = *new HostMemory;  // never ends: a thread may outlive it at exit
  return memory;
}

}  // namespace slim
