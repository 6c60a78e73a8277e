// What a running call has on the device beside its arenas: a stream, and the facts of its batch.
#pragma once

#include <memory>

#include "cuda/memory.h"
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

// What launches need of it.
struct Call : DeviceCall {
  Call(Stream& stream, Facts* facts) : stream(stream), facts(facts) {}

  // Waits for what was launched, and says what it raised.
  virtual uint32_t finish() noexcept = 0;
  // Of a launch that calls the host: true where others are recorded, and it runs when they are
  // replayed.
  virtual bool defer(const Launch&) noexcept { return false; }

  Stream& stream;
  Facts* facts;  // on the device
};

// With both of its own.
class OwnCall final : public Call {
 public:
  static std::unique_ptr<OwnCall> open(Driver& driver);
  ~OwnCall() override;

  // To the device before the launches of a batch; the status back after them.
  void send(const Context& context) noexcept;
  uint32_t finish() noexcept override;

  // Room for the places of so many rows. Throws OutOfMemory.
  void reserve(int64_t rows);
  // These on the device, for what is put on the stream next.
  const uint32_t* list(const uint32_t* places, int64_t count) const noexcept;

 private:
  OwnCall(Driver& driver, std::unique_ptr<Stream> stream, std::byte* facts, std::byte* pinned);

  Driver& driver_;
  std::unique_ptr<Stream> own_stream_;
  Facts* pinned_;  // the host's copy
  Piece<uint32_t> listed_;
};

}  // namespace slim::cuda
