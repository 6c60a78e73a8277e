// What a driver refused to do, kept for the thread that asked: the work of others goes on.
#pragma once

#include <mutex>
#include <optional>
#include <string>

namespace slim::cuda {

class Refusals {
 public:
  // From here on this thread is told what it is refused; of threads that nobody told to listen,
  // whoever asks first.
  void listen() noexcept;
  void add(const std::string& words, bool memory) noexcept;  // the first counts
  bool any() const noexcept;
  // Throws OutOfMemory or DriverError if there is one, and forgets it.
  void raise(const std::string& device);

 private:
  struct Refusal {
    std::string words;
    bool memory;
  };
  struct Listener {
    const Refusals* to = nullptr;
    std::optional<Refusal> refusal;
  };
  static Listener& listener();

  mutable std::mutex mutex_;
  std::optional<Refusal> unheard_;
};

}  // namespace slim::cuda
