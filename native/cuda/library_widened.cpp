// Copies of operands in float32, and the launches of a library that reads these.
#include "cuda/library_widened.h"

#include "cuda/shapes.h"

namespace slim::cuda {
namespace {

constexpr size_t kOperands = 2;

KernelText widen(const Buffer& dst, const Buffer& src) {
  const Count count = count_of(src);
  KernelText text;
  Arguments arguments(text);
  const std::string to = arguments.out(dst), from = arguments.in(src);
  text.body = "  " + call("slim::widen", {to, from, count.text()}) + ";\n";
  text.grid = grid_over(count.capacity);
  text.cost.bytes = static_cast<double>(count.capacity * (size_of(dst.dtype) + size_of(src.dtype)));
  return text;
}

class Widened final : public ByLibrary {
 public:
  explicit Widened(std::unique_ptr<ByLibrary> library) : library_(std::move(library)) {}

  // The library's, then the copies.
  std::vector<int64_t> workspace(const Binding& binding) const override {
    std::vector<int64_t> bytes = library_->workspace(binding);
    for (size_t i = 0; i < kOperands; ++i) {
      bytes.push_back(count_of(binding.operands[i]).capacity * size_of(DType::f32));
    }
    return bytes;
  }

  std::vector<std::unique_ptr<Launch>> launches(const Binding& binding) const override {
    std::vector<std::unique_ptr<Launch>> all;
    Binding wide = binding;
    for (size_t i = kOperands; i-- > 0;) {
      const Buffer copy = wide.workspace.back();
      wide.workspace.pop_back();
      Buffer& operand = wide.operands[i];
      operand.base = copy.base;
      operand.offset = copy.offset;
      operand.dtype = DType::f32;
      all.push_back(std::make_unique<KernelLaunch>(widen(operand, binding.operands[i])));
    }
    for (auto& launch : library_->launches(wide)) all.push_back(std::move(launch));
    return all;
  }

 private:
  std::unique_ptr<ByLibrary> library_;
};

}  // namespace

std::unique_ptr<ByLibrary> widened(std::unique_ptr<ByLibrary> library) {
  return std::make_unique<Widened>(std::move(library));
}

}  // namespace slim::cuda
