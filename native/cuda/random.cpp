// random_uniform, random_normal and dropout: the CPU's bits.
#include "cuda/shapes.h"

namespace slim::cuda {
namespace {

std::vector<KernelText> prepare(const Binding& binding, const std::string& function, int block) {
  if (!binding.node.regions.empty()) binding.refuse("has no region on GPUs");
  const Buffer& dst = binding.results[0];
  const Type& type = binding.graph.values[static_cast<size_t>(binding.node.results[0])].type;
  const bool by_row = !type.dims.empty() && type.dims[0].mentions("B");
  Count rows{1, 0}, columns = count_of(dst);
  if (by_row) {
    rows = count_of(dst, 0, 1);
    columns = {dst.inner(), 0};
  }
  const int64_t per_row = by_row ? type.dims[0].multiple_of("B").value_or(1) : 0;
  KernelText text;
  text.headers = {"philox", "random"};
  Arguments arguments(text);
  text.body = "  slim::" + function + "(a.facts";
  for (const Buffer& buffer : binding.operands) text.body += ", " + arguments.in(buffer);
  text.body += ", " + arguments.out(dst) + ", slim::Draws{" + rows.text() + ", " + columns.text() +
               ", " + std::to_string(per_row) + ", " +
               std::to_string(static_cast<uint32_t>(binding.integer("stream", 0))) + "u});\n";
  text.grid = grid_over(rows.capacity * ceil_div(columns.capacity, block));
  const auto count = static_cast<double>(rows.capacity * columns.capacity);
  text.cost = {20 * count, 2 * count * static_cast<double>(size_of(dst.dtype))};
  return {text};
}

std::vector<KernelText> prepare_uniform(const Binding& binding) {
  return prepare(binding, "uniform", binding.results[0].dtype == DType::f32 ? 4 : 2);
}
std::vector<KernelText> prepare_normal(const Binding& binding) {
  return prepare(binding, "normal", 2);
}
std::vector<KernelText> prepare_dropout(const Binding& binding) {
  return prepare(binding, "dropout", 8);
}

}  // namespace

SLIM_CUDA_KERNEL(random_uniform, prepare_uniform);
SLIM_CUDA_KERNEL(random_normal, prepare_normal);
SLIM_CUDA_KERNEL(dropout, prepare_dropout);

}  // namespace slim::cuda
