// How a long native call learns that the user wants it to end.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>

namespace slim {

// Asked now and then, by the thread that called; true ends the call.
using Interrupt = std::function<bool()>;

// Thrown where a call has no other way to say that it was ended.
struct Interrupted {};

// Keeps the question from costing time, and its answer for all lanes.
class Watch {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Watch(const Interrupt& interrupt) : interrupt_(interrupt), asked_(Clock::now()) {}

  // By the calling thread, as often as it likes.
  void look(Clock::time_point now = Clock::now()) {
    if (stopped() || !interrupt_ || now - asked_ < kEvery) return;
    if (interrupt_()) stopped_.store(true, std::memory_order_relaxed);
    asked_ = Clock::now();
  }
  // After so much work, in flops or bytes: where there is little, the clock costs more than that.
  void look_after(double work) {
    if ((left_ -= work) > 0) return;
    left_ = kLittle;
    look();
  }
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

  static constexpr double kWork = 2e8;    // some hundredths of a second on one lane
  static constexpr double kLittle = 1e7;  // some milliseconds
  static constexpr double kLaunch = 2e3;  // of any launch, and of any step of a loop

 private:
  // Asking takes the interpreter's lock, for which other threads may have to be waited.
  static constexpr auto kEvery = std::chrono::milliseconds(50);

  const Interrupt& interrupt_;
  Clock::time_point asked_;
  double left_ = kLittle;
  std::atomic<bool> stopped_{false};
};

}  // namespace slim
