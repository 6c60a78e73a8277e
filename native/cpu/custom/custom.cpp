// Kernel of custom: a function of the user's, called once for all rows.
#include "kernels/custom.h"

#include "cpu/check.h"
#include "cpu/kernel_set.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

class CustomLaunch final : public Launch {
 public:
  explicit CustomLaunch(const Binding& binding)
      : call_(custom_call()),
        function_(std::get<std::string>(binding.node.attributes.at("function"))),
        gradient_(binding.flag("gradient", false)),
        operands_(binding.operands),
        results_(binding.results) {}

  int64_t tasks(int64_t) const override { return 1; }

  void run(const Context& context, int64_t, std::byte*) const noexcept override {
    if (!call_(function_, gradient_, nullptr, context, operands_, results_)) {
      context.raise(kCustomFailed);
    }
  }

  // What the function does is not known; its call alone takes some microseconds.
  Cost cost(int64_t rows) const override {
    Cost cost{1e4, 0};
    for (const std::vector<Buffer>* list : {&operands_, &results_}) {
      for (const Buffer& buffer : *list) {
        cost.bytes += static_cast<double>(2 * buffer.count(rows) * size_of(buffer.dtype));
      }
    }
    return cost;
  }

 private:
  CustomCall call_;
  std::string function_;
  bool gradient_;
  std::vector<Buffer> operands_, results_;
};

Prepared prepare_custom(const Binding& binding) {
  if (custom_call() == nullptr) {
    binding.refuse("calls a function of Python's, which is not here");
  }
  return std::make_unique<CustomLaunch>(binding);
}

}  // namespace

SLIM_KERNEL(custom, prepare_custom);

}  // namespace slim::SLIM_ISA_NAMESPACE
