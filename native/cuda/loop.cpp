// Compiles and launches them.
#include "cuda/loop.h"

#include "cuda/headers.h"
#include "cuda/shapes.h"
#include "kernels/philox.h"
#include "kernels/trace/preamble.h"

namespace slim::cuda {
namespace {

// As kernels/loop.cuh has them.
struct CopyArguments {
  std::byte* to;
  const std::byte* from;
  int64_t to_step, from_step, length, count;
};
struct TimeArguments {
  Facts* facts;
  uint64_t iteration, mask;
  uint32_t seed;
};

constexpr Grid kOneThread{1, 1};

}  // namespace

LoopKernels::LoopKernels(Driver& driver) : driver_(driver) {
  const std::string body = head_of({}, {"loop"});
  module_ = driver.compile(preamble(body, Dialect::cuda) + body);
  copy_words_ = module_->kernel("copy_words", grid_over(1));
  copy_bytes_ = module_->kernel("copy_bytes", grid_over(1));
  move_time_ = module_->kernel("move_time", kOneThread);
}

void LoopKernels::copy(Stream& stream, const Device::Pieces& pieces) const noexcept {
  if (pieces.bytes * pieces.count == 0) return;
  // Distances are multiples of a piece, and so are places.
  const int64_t size = pieces.bytes % 4 == 0 ? 4 : 1, length = pieces.bytes / size;
  const CopyArguments arguments{
      pieces.to, pieces.from, pieces.to_step / size, pieces.from_step / size, length, pieces.count};
  driver_.launch(stream, size == 4 ? *copy_words_ : *copy_bytes_, grid_over(length * pieces.count),
                 &arguments, sizeof arguments);
}

void LoopKernels::move_time(Stream& stream, Facts* facts, const Context& context) const noexcept {
  const uint64_t mask = philox_time(0, ~uint64_t{0});
  const TimeArguments arguments{facts, static_cast<uint64_t>(context.step) & mask, mask,
                                context.seed};
  driver_.launch(stream, *move_time_, kOneThread, &arguments, sizeof arguments);
}

}  // namespace slim::cuda
