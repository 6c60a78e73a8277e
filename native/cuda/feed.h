// Rows that have no room on a GPU: windows of them are packed and sent while steps run.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/memory.h"
#include "runtime/data/batches.h"
#include "runtime/data/source.h"

namespace slim::cuda {

// The steps of an epoch in windows. There is room for two on the device and in pinned memory: the
// steps of one run while the rows of the next are packed, in their order, and sent.
class Feed {
 public:
  // What the inputs read, which has rows and no lengths, in `most` bytes of the device or, if a
  // batch needs more, two batches. Throws OutOfMemory, DriverError.
  Feed(Driver& driver, const BatchRule& rule, std::vector<const Gather*> inputs, int64_t most,
       int threads);
  ~Feed();
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  // Of an input, on the device.
  const std::byte* rows(size_t input) const { return inputs_[input].ring.data(); }
  // Where each row of an epoch lies there.
  std::vector<uint32_t> places() const;

  // An epoch begins: its rows in their order, which stay where they are.
  void begin(const uint32_t* order);
  int64_t end_of_window(int64_t step) const;
  // Around the launches of steps of one window.
  void before(Stream& stream, int64_t step) noexcept;
  void after(Stream& stream, int64_t step) noexcept;

 private:
  struct Input {
    const Gather* gather;
    int64_t row;     // bytes
    int64_t offset;  // in a window of the host
    Piece<std::byte> ring;
  };
  void load(int64_t window) noexcept;

  Driver& driver_;
  BatchRule rule_;
  int threads_;
  int64_t steps_ = 1;  // of a window
  int64_t room_ = 1;   // rows of a window
  int64_t bytes_ = 0;  // likewise
  std::vector<Input> inputs_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Event> sent_[2], used_[2];  // of the even windows and of the odd ones
  std::byte* pinned_ = nullptr;
  const uint32_t* order_ = nullptr;
  int64_t loaded_ = -1;  // the last window of this epoch that was
};

}  // namespace slim::cuda
