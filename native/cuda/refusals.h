// What a driver refused to do, kept for the work that asked: that of others goes on.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace slim::cuda {

struct Refusal {
  std::string words;
  bool memory;
};

class Refusals {
 public:
  // Some work of a thread, as long as it lives.
  class Scope {
   public:
    explicit Scope(Refusals& all);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

    // Throws OutOfMemory or DriverError if something of it was refused, and forgets that.
    void check(const std::string& device);

   private:
    friend class Refusals;

    Refusals& all_;
    const std::thread::id thread_ = std::this_thread::get_id();
    std::optional<Refusal> refusal_;  // the first
  };

  // Of the innermost work of this thread; a thread that has none helps others: of all there is.
  void add(const std::string& words, bool memory) noexcept;
  bool any() const noexcept;

 private:
  Scope* own() const;

  mutable std::mutex mutex_;
  std::vector<Scope*> scopes_;
};

}  // namespace slim::cuda
