// The facts of a batch on their way to the device, and its status on the way back.
#include "cuda/call.h"

namespace slim::cuda {

Call::Call(Driver& driver) : driver_(driver), stream_(driver.open_stream()) {
  pinned_ = reinterpret_cast<Facts*>(driver.allocate_host(sizeof(Facts)));
  try {
    facts_ = reinterpret_cast<Facts*>(driver.allocate(sizeof(Facts)));
  } catch (...) {
    driver.release_host(reinterpret_cast<std::byte*>(pinned_));
    throw;
  }
}

Call::~Call() {
  driver_.wait(*stream_);
  driver_.release(reinterpret_cast<std::byte*>(facts_));
  driver_.release_host(reinterpret_cast<std::byte*>(pinned_));
}

void Call::send(const Context& context) noexcept {
  *pinned_ = {context.rows, context.first_row, context.step, context.seed, 0};
  driver_.copy(*stream_, reinterpret_cast<std::byte*>(facts_),
               reinterpret_cast<const std::byte*>(pinned_), sizeof(Facts));
}

uint32_t Call::fetch_status() noexcept {
  driver_.copy(*stream_, reinterpret_cast<std::byte*>(pinned_),
               reinterpret_cast<const std::byte*>(facts_), sizeof(Facts));
  driver_.wait(*stream_);
  return pinned_->status;
}

}  // namespace slim::cuda
