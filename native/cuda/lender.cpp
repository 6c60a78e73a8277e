// Keeps who lends memory, and which of a driver's pieces are lent.
#include "cuda/lender.h"

#include <atomic>

#include "cuda/driver.h"
#include "runtime/plan/context_pool.h"

namespace slim::cuda {
namespace {

std::atomic<const Lender*> lender_of_all{nullptr};

}  // namespace

void set_lender(const Lender* lender) noexcept { lender_of_all.store(lender); }

const Lender* lender() noexcept { return lender_of_all.load(); }

std::byte* Lent::take(int device, int64_t bytes) {
  const Lender* from = lender();
  std::byte* data = from != nullptr ? from->allocate(device, bytes) : nullptr;
  if (data == nullptr) return nullptr;
  const std::lock_guard lock(mutex_);
  pieces_.insert(data);
  return data;
}

bool Lent::give_back(std::byte* data) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (pieces_.erase(data) == 0) return false;
  }
  lender()->release(data);
  return true;
}

// What finished calls keep for the next ones is given up before anybody is told that there is none.
std::byte* Driver::allocate(int64_t bytes) {
  const auto take = [&] {
    std::byte* data = lent_.take(properties().number, bytes);
    return data != nullptr ? data : allocate_own(bytes);
  };
  try {
    return take();
  } catch (const OutOfMemory&) {
    ContextPool::free_idle();
  }
  return take();
}

void Driver::release(std::byte* data) noexcept {
  if (!lent_.give_back(data)) release_own(data);
}

int64_t Driver::free_memory() const {
  const Lender* from = lender();
  return own_free_memory() + (from != nullptr ? from->free_bytes(properties().number) : 0);
}

}  // namespace slim::cuda
