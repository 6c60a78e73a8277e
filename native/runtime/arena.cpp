// Aligned zeroed memory and the count of its allocations.
#include "runtime/arena.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

namespace slim {
namespace {

std::atomic<int64_t> allocated{0};

}  // namespace

Arena::Arena(int64_t bytes) : size_(round_up(bytes)) {
  const size_t whole = static_cast<size_t>(size_ + kAlignment);
  void* memory = std::aligned_alloc(kAlignment, whole);
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0, whole);
  data_.reset(static_cast<std::byte*>(memory));
  allocated.fetch_add(1, std::memory_order_relaxed);
}

void Arena::Free::operator()(std::byte* data) const { std::free(data); }

int64_t Arena::allocations() { return allocated; }

}  // namespace slim
