// Freed pieces of memory, kept for the next who asks for as much: CUDA's own calls for it stop
// all work of the GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

namespace slim::cuda::nvidia {

class Pool {
 public:
  using Allocate = std::byte* (*)(const void* of, int64_t bytes);  // null: there is none
  using Free = void (*)(const void* of, std::byte* data);

  // Keeps so many bytes at most; 0: nothing, and takes what is asked for to the byte.
  Pool(const void* of, Allocate make, Free end, int64_t most)
      : of_(of), allocate_(make), free_(end), most_(most) {}

  // Null: there is no memory, and nothing is kept any more.
  std::byte* allocate(int64_t bytes) {
    const int64_t size = class_of(bytes);
    {
      const std::lock_guard lock(mutex_);
      const auto found = kept_.find(size);
      if (found != kept_.end() && !found->second.empty()) {
        std::byte* data = found->second.back();
        found->second.pop_back();
        kept_bytes_ -= size;
        sizes_[data] = size;
        return data;
      }
    }
    std::byte* data = allocate_(of_, size);
    if (data == nullptr) {
      drop();
      data = allocate_(of_, size);
    }
    if (data == nullptr) return nullptr;
    const std::lock_guard lock(mutex_);
    sizes_[data] = size;
    return data;
  }

  void release(std::byte* data) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = sizes_.find(data);
      if (found == sizes_.end()) return;
      const int64_t size = found->second;
      sizes_.erase(found);
      if (kept_bytes_ + size <= most_) {
        kept_[size].push_back(data);
        kept_bytes_ += size;
        return;
      }
    }
    free_(of_, data);
  }

  void drop() {
    std::map<int64_t, std::vector<std::byte*>> all;
    {
      const std::lock_guard lock(mutex_);
      all.swap(kept_);
      kept_bytes_ = 0;
    }
    for (const auto& [size, pieces] : all) {
      for (std::byte* data : pieces) free_(of_, data);
    }
  }

  int64_t kept_bytes() const {
    const std::lock_guard lock(mutex_);
    return kept_bytes_;
  }

 private:
  int64_t class_of(int64_t bytes) const {
    if (most_ == 0) return bytes;
    const int64_t unit = bytes <= (1 << 20) ? 512 : 1 << 21;
    return bytes / unit * unit + (bytes % unit != 0 || bytes == 0 ? unit : 0);
  }

  const void* of_;
  Allocate allocate_;
  Free free_;
  int64_t most_;
  mutable std::mutex mutex_;
  std::map<int64_t, std::vector<std::byte*>> kept_;  // by size
  std::map<std::byte*, int64_t> sizes_;              // of what is in use
  int64_t kept_bytes_ = 0;
};

}  // namespace slim::cuda::nvidia
