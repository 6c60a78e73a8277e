// Pages of the system, with one behind each piece that is never open.
#include "cuda/emulated/memory.h"

#include <sys/mman.h>

#include <cstring>

namespace slim::cuda {
namespace {

constexpr size_t kPage = 4096;
constexpr int64_t kAligned = 256;  // as CUDA's

}  // namespace

GuardedMemory::~GuardedMemory() {
  while (!pieces_.empty()) release(const_cast<std::byte*>(pieces_.begin()->first));
}

// At the end of its pages, so that what runs over it runs into the closed one.
std::byte* GuardedMemory::allocate(int64_t bytes) {
  const auto size = static_cast<size_t>(bytes / kAligned * kAligned + kAligned);
  const size_t pages = (size + kPage - 1) / kPage * kPage;
  void* start = mmap(nullptr, pages + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return nullptr;
  mprotect(start, pages, PROT_READ | PROT_WRITE);
  std::memset(start, 0xff, pages);
  mprotect(start, pages, PROT_NONE);
  std::byte* data = static_cast<std::byte*>(start) + (pages - size);
  pieces_[data] = {bytes, pages};
  used_ += bytes;
  return data;
}

void GuardedMemory::release(std::byte* data) noexcept {
  const auto found = pieces_.find(data);
  if (found == pieces_.end()) return;
  const auto address = reinterpret_cast<uintptr_t>(data);
  munmap(reinterpret_cast<void*>(address / kPage * kPage), found->second.pages + kPage);
  used_ -= found->second.bytes;
  pieces_.erase(found);
}

void GuardedMemory::open() noexcept {
  for (const auto& [data, piece] : pieces_) {
    const auto address = reinterpret_cast<uintptr_t>(data);
    mprotect(reinterpret_cast<void*>(address / kPage * kPage), piece.pages, PROT_READ | PROT_WRITE);
  }
}

void GuardedMemory::close() noexcept {
  for (const auto& [data, piece] : pieces_) {
    const auto address = reinterpret_cast<uintptr_t>(data);
    mprotect(reinterpret_cast<void*>(address / kPage * kPage), piece.pages, PROT_NONE);
  }
}

bool GuardedMemory::is_within(const std::byte* data, int64_t bytes) const {
  auto piece = pieces_.upper_bound(data);
  if (piece == pieces_.begin()) return true;
  --piece;
  const int64_t from = data - piece->first;
  return from >= static_cast<int64_t>(piece->second.pages) || from + bytes <= piece->second.bytes;
}

}  // namespace slim::cuda
