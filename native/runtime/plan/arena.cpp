// Aligned memory and the count of its allocations.
#include "runtime/plan/arena.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace slim {
namespace {

std::atomic<int64_t> allocated{0};

// From here on in pages of 2 MiB, where the system offers them (NumPy's rule for its arrays): a
// network's weights and maps are more small pages than a core finds the places of.
constexpr uintptr_t kLargePage = 2 << 20;
constexpr int64_t kLargeArena = 4 << 20;

void ask_for_large_pages(void* memory, int64_t bytes) {
#ifdef MADV_HUGEPAGE
  if (bytes < kLargeArena) return;
  const auto address = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t first = (address + kLargePage - 1) / kLargePage * kLargePage;
  const uintptr_t last = (address + static_cast<uintptr_t>(bytes)) / kLargePage * kLargePage;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace

// calloc: pages of a large arena cost nothing until they are used.
Arena::Arena(int64_t bytes)
    : memory_(std::calloc(1, static_cast<size_t>(round_up(bytes) + 2 * kAlignment))),
      size_(round_up(bytes)) {
  if (!memory_) throw std::bad_alloc();
  ask_for_large_pages(memory_.get(), size_);
  const auto address = reinterpret_cast<uintptr_t>(memory_.get());
  data_ = static_cast<std::byte*>(memory_.get()) + (kAlignment - address % kAlignment) % kAlignment;
  allocated.fetch_add(1, std::memory_order_relaxed);
}

Arena::Arena(int64_t bytes, Memory& memory) {
  if (memory.is_host()) {
    *this = Arena(bytes);
    return;
  }
  size_ = round_up(bytes);
  data_ = memory.allocate(size_ + kAlignment);
  memory_ = std::unique_ptr<void, Free>(data_, Free{&memory});
  allocated.fetch_add(1, std::memory_order_relaxed);
}

void Arena::Free::operator()(void* memory) const {
  if (device == nullptr) return std::free(memory);
  device->release(static_cast<std::byte*>(memory));
}

int64_t Arena::allocations() { return allocated; }

}  // namespace slim
