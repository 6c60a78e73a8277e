// One place for each thread, which listens to one driver at a time.
#include "cuda/refusals.h"

#include <utility>

#include "cuda/driver.h"

namespace slim::cuda {

Refusals::Listener& Refusals::listener() {
  static thread_local Listener own;
  return own;
}

void Refusals::listen() noexcept { listener() = {this, std::nullopt}; }

void Refusals::add(const std::string& words, bool memory) noexcept {
  const std::lock_guard lock(mutex_);
  std::optional<Refusal>& place = listener().to == this ? listener().refusal : unheard_;
  if (!place) place = {words, memory};
}

bool Refusals::any() const noexcept {
  const std::lock_guard lock(mutex_);
  return listener().to == this ? listener().refusal.has_value() : unheard_.has_value();
}

void Refusals::raise(const std::string& device) {
  std::optional<Refusal> refusal;
  {
    const std::lock_guard lock(mutex_);
    if (listener().to == this) refusal = std::exchange(listener(), {}).refusal;
    if (!refusal) refusal = std::exchange(unheard_, std::nullopt);
  }
  if (!refusal) return;
  if (refusal->memory) throw OutOfMemory(device + " has no memory left, " + refusal->words);
  throw DriverError("the GPU " + device + " refused: " + refusal->words +
                    ": what was begun is undone, other work goes on");
}

}  // namespace slim::cuda
