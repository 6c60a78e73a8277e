// The work that is under way, in the order in which it began.
#include "cuda/refusals.h"

#include <algorithm>
#include <utility>

#include "cuda/driver.h"

namespace slim::cuda {

Refusals::Scope::Scope(Refusals& all) : all_(all) {
  const std::lock_guard lock(all_.mutex_);
  all_.scopes_.push_back(this);
}

Refusals::Scope::~Scope() {
  const std::lock_guard lock(all_.mutex_);
  std::erase(all_.scopes_, this);
}

void Refusals::Scope::check(const std::string& device) {
  std::optional<Refusal> refusal;
  {
    const std::lock_guard lock(all_.mutex_);
    refusal = std::exchange(refusal_, std::nullopt);
  }
  if (!refusal) return;
  if (refusal->memory) throw OutOfMemory(device + " has no memory left, " + refusal->words);
  throw DriverError("the GPU " + device + " refused: " + refusal->words +
                    ": what was begun is undone, other work goes on");
}

// Null: this thread has none.
Refusals::Scope* Refusals::own() const {
  const auto found = std::find_if(scopes_.rbegin(), scopes_.rend(), [](const Scope* scope) {
    return scope->thread_ == std::this_thread::get_id();
  });
  return found == scopes_.rend() ? nullptr : *found;
}

void Refusals::add(const std::string& words, bool memory) noexcept {
  const std::lock_guard lock(mutex_);
  Scope* const only = own();
  for (Scope* scope : scopes_) {
    if ((only == nullptr || only == scope) && !scope->refusal_) scope->refusal_ = {words, memory};
  }
}

bool Refusals::any() const noexcept {
  const std::lock_guard lock(mutex_);
  if (const Scope* only = own()) return only->refusal_.has_value();
  return std::any_of(scopes_.begin(), scopes_.end(),
                     [](const Scope* scope) { return scope->refusal_.has_value(); });
}

}  // namespace slim::cuda
