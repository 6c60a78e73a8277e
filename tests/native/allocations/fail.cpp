// Loaded before all others: counts the allocations of C++ code and lets one of them fail.
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

namespace {

std::atomic<long> made{0};
std::atomic<long> failing{0};  // which one, counted from 1; 0: none

bool fails() { return ++made == failing.load(); }

void* checked(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void* plain(std::size_t bytes) {
  if (fails()) throw std::bad_alloc();
  return checked(std::malloc(bytes > 0 ? bytes : 1));
}

void* aligned(std::size_t bytes, std::size_t alignment) {
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, bytes > 0 ? bytes : 1) != 0) return nullptr;
  return memory;
}

}  // namespace

extern "C" {
// Begins to count; the one of that number will fail.
void slim_test_fail(long number) {
  made = 0;
  failing = number;
}
long slim_test_made() { return made; }
// How the host's arenas are had.
void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  if (fails()) {
    errno = ENOMEM;
    return nullptr;
  }
  return aligned(bytes, alignment);
}
}

void* operator new(std::size_t bytes) { return plain(bytes); }
void* operator new[](std::size_t bytes) { return plain(bytes); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  if (fails()) throw std::bad_alloc();
  return checked(aligned(bytes, static_cast<std::size_t>(alignment)));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
