// The facts of a batch on their way to the device, and its status on the way back.
#include "cuda/call.h"

#include "runtime/device/device.h"

namespace slim::cuda {

std::unique_ptr<OwnCall> OwnCall::open(Driver& driver) {
  auto stream = driver.open_stream();
  std::byte* pinned = driver.allocate_host(sizeof(Facts));
  try {
    std::byte* facts = driver.allocate(sizeof(Facts));
    return std::unique_ptr<OwnCall>(new OwnCall(driver, std::move(stream), facts, pinned));
  } catch (...) {
    driver.release_host(pinned);
    throw;
  }
}

OwnCall::OwnCall(Driver& driver, std::unique_ptr<Stream> stream, std::byte* facts,
                 std::byte* pinned)
    : Call(*stream, reinterpret_cast<Facts*>(facts)),
      driver_(driver),
      own_stream_(std::move(stream)),
      pinned_(reinterpret_cast<Facts*>(pinned)) {}

OwnCall::~OwnCall() {
  driver_.wait(stream);
  driver_.release(reinterpret_cast<std::byte*>(facts));
  driver_.release_host(reinterpret_cast<std::byte*>(pinned_));
}

void OwnCall::send(const Context& context) noexcept {
  *pinned_ = {context.rows, context.first_row, context.step, context.seed, 0};
  driver_.copy(stream, reinterpret_cast<std::byte*>(facts),
               reinterpret_cast<const std::byte*>(pinned_), sizeof(Facts));
}

void OwnCall::reserve(int64_t rows) {
  const auto count = static_cast<size_t>(rows);
  if (listed_.size() < count) listed_ = Piece<uint32_t>(driver_, count);
}

const uint32_t* OwnCall::list(const uint32_t* places, int64_t count) const noexcept {
  listed_.send(stream, places, static_cast<size_t>(count));
  return listed_.data();
}

uint32_t OwnCall::finish() noexcept {
  driver_.copy(stream, reinterpret_cast<std::byte*>(pinned_),
               reinterpret_cast<const std::byte*>(facts), sizeof(Facts));
  driver_.wait(stream);
  return driver_.is_well() ? pinned_->status : kLostDevice;
}

}  // namespace slim::cuda
