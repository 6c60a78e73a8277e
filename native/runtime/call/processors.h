// Lanes that wake on one processor are moved to processors of their own.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace slim {

// The processors on which the lanes of a region are. Where processors share no cache, as often
// in virtual machines, Linux wakes a lane where the lane was that it waited for: the two take
// turns on one processor, and look to the system as if one were enough.
class Processors {
 public:
  // The lane that calls is alone on its processor, if there is one left where it may be.
  void take() noexcept;

 private:
  static constexpr int kMost = 1024;
  // Whether no lane had it.
  bool mark(int processor) noexcept;

  std::array<std::atomic<uint64_t>, kMost / 64> marks_{};
};

}  // namespace slim
