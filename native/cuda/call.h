// What a running call has on the device beside its arenas: a stream, and the facts of its batch.
#pragma once

#include <memory>

#include "cuda/driver.h"
#include "kernels/kernel.h"

namespace slim::cuda {

// As kernels/facts.cuh has them.
struct Facts {
  int64_t rows = 0;
  int64_t first_row = 0;
  int64_t step = 0;
  uint32_t seed = 0;
  uint32_t status = 0;
};

class Call final : public DeviceCall {
 public:
  explicit Call(Driver& driver);
  ~Call() override;

  Stream& stream() const { return *stream_; }
  Facts* facts() const { return facts_; }  // on the device

  // The host's: sent before the launches of a batch, fetched after them.
  void send(const Context& context) noexcept;
  uint32_t fetch_status() noexcept;

 private:
  Driver& driver_;
  std::unique_ptr<Stream> stream_;
  Facts* facts_ = nullptr;
  Facts* pinned_ = nullptr;
};

}  // namespace slim::cuda
