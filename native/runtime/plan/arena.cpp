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

int64_t alignment_of(int64_t bytes) {
  return bytes < kLargeArena ? kAlignment : static_cast<int64_t>(kLargePage);
}

// Of its whole pages: what is behind them may be little, and is never all of one.
void ask_for_large_pages(std::byte* data, int64_t bytes) {
#ifdef MADV_HUGEPAGE
  if (bytes >= kLargeArena) {
    madvise(data, static_cast<size_t>(bytes) / kLargePage * kLargePage, MADV_HUGEPAGE);
  }
#endif
}

}  // namespace

// calloc: pages of a large arena cost nothing until they are used, nor those left out before it.
Arena::Arena(int64_t bytes) : size_(round_up(bytes)) {
  const int64_t alignment = alignment_of(size_);
  memory_.reset(std::calloc(1, static_cast<size_t>(size_ + kAlignment + alignment)));
  if (!memory_) throw std::bad_alloc();
  const auto address = static_cast<int64_t>(reinterpret_cast<uintptr_t>(memory_.get()));
  data_ = static_cast<std::byte*>(memory_.get()) + (alignment - address % alignment) % alignment;
  ask_for_large_pages(data_, size_);
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
