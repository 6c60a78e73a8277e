// Pages of the system, with one before and one behind each piece that are never open.
#include "cuda/emulated/memory.h"

#include <sys/mman.h>

#include <cstring>

namespace slim::cuda {
namespace {

constexpr size_t kPage = 4096;
constexpr int64_t kAligned = 256;  // as CUDA's

// Of the pages of a piece.
std::byte* start_of(const std::byte* data) {
  return reinterpret_cast<std::byte*>(reinterpret_cast<uintptr_t>(data) / kPage * kPage);
}

}  // namespace

GuardedMemory::~GuardedMemory() {
  while (!pieces_.empty()) release(const_cast<std::byte*>(pieces_.begin()->first));
}

// At the end of its pages, so that what runs over it runs into the closed one.
std::byte* GuardedMemory::allocate(int64_t bytes) {
  const auto size = static_cast<size_t>(bytes / kAligned * kAligned + kAligned);
  const size_t pages = (size + kPage - 1) / kPage * kPage;
  void* all = mmap(nullptr, pages + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) return nullptr;
  std::byte* start = static_cast<std::byte*>(all) + kPage;
  mprotect(start, pages, PROT_READ | PROT_WRITE);
  std::memset(start, 0xff, pages);
  mprotect(start, pages, PROT_NONE);
  std::byte* data = start + (pages - size);
  pieces_[data] = {bytes, pages};
  used_ += bytes;
  return data;
}

void GuardedMemory::release(std::byte* data) noexcept {
  const auto found = pieces_.find(data);
  if (found == pieces_.end()) return;
  munmap(start_of(data) - kPage, found->second.pages + 2 * kPage);
  used_ -= found->second.bytes;
  pieces_.erase(found);
}

void GuardedMemory::open() noexcept {
  for (const auto& [data, piece] : pieces_) {
    mprotect(start_of(data), piece.pages, PROT_READ | PROT_WRITE);
  }
}

void GuardedMemory::close() noexcept {
  for (const auto& [data, piece] : pieces_) {
    mprotect(start_of(data), piece.pages, PROT_NONE);
  }
}

bool GuardedMemory::holds(const std::byte* data) const {
  auto piece = pieces_.upper_bound(data);
  if (piece == pieces_.begin()) return false;
  --piece;
  return data - piece->first < static_cast<int64_t>(piece->second.pages);
}

bool GuardedMemory::is_within(const std::byte* data, int64_t bytes) const {
  auto piece = pieces_.upper_bound(data);
  if (piece == pieces_.begin()) return true;
  --piece;
  const int64_t from = data - piece->first;
  return from >= static_cast<int64_t>(piece->second.pages) || from + bytes <= piece->second.bytes;
}

}  // namespace slim::cuda
