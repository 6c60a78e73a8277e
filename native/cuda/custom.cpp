// Calls it, and tells the step that it failed.
#include "cuda/custom.h"

#include "cuda/call.h"
#include "kernels/custom.h"

namespace slim::cuda {

CustomLaunch::CustomLaunch(const Binding& binding, Driver& driver)
    : driver_(driver),
      function_(std::get<std::string>(binding.node.attributes.at("function"))),
      gradient_(binding.flag("gradient", false)),
      operands_(binding.operands),
      results_(binding.results) {
  if (custom_call() == nullptr) binding.refuse("calls a function of Python's, which is not here");
  if (!binding.flag("gpu", false)) {
    binding.refuse(
        "has no function for a GPU, and is placed on one: give ops.custom(gpu=), or leave it "
        "to the processor by layers.device(\"cpu\")");
  }
}

void CustomLaunch::run(const Context& context, int64_t, std::byte*) const noexcept {
  auto& call = static_cast<Call&>(*context.call);
  // Where one has failed in this call, what others would read is nothing.
  if (call.defer(*this) || (context.status & kCustomFailed) != 0) return;
  const CustomPlace place{driver_.properties().number, driver_.handle(call.stream)};
  if (custom_call()(function_, gradient_, &place, context, operands_, results_)) return;
  context.raise(kCustomFailed);
  driver_.copy(call.stream, reinterpret_cast<std::byte*>(&call.facts->status),
               reinterpret_cast<const std::byte*>(&kCustomFailed), sizeof kCustomFailed);
}

Cost CustomLaunch::cost(int64_t rows) const {
  Cost cost;
  for (const std::vector<Buffer>* list : {&operands_, &results_}) {
    for (const Buffer& buffer : *list) {
      cost.bytes += static_cast<double>(buffer.count(rows) * size_of(buffer.dtype));
    }
  }
  return cost;
}

}  // namespace slim::cuda
