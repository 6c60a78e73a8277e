// By index: gather, scatter_add, one_hot.
#include <cstdio>

#include "cuda/shapes.h"

namespace slim::cuda {
namespace {

KernelText kernel(const char* header, int64_t elements, const Buffer& dst) {
  KernelText text;
  text.headers = {header};
  text.grid = grid_over(elements);
  const auto count = static_cast<double>(elements);
  text.cost = {count, 2 * count * static_cast<double>(size_of(dst.dtype))};
  return text;
}

std::vector<KernelText> prepare_gather(const Binding& binding) {
  const Buffer &table = binding.operands[0], &ids = binding.operands[1];
  const Buffer& dst = binding.results[0];
  require_elements(binding, table, 0);
  const int64_t row = table.inner();
  KernelText text = kernel("index", count_of(dst).capacity, dst);
  Arguments arguments(text);
  const std::string from = arguments.in(table), by = arguments.in(ids), to = arguments.out(dst);
  text.body = "  " +
              call("slim::gather", {"a.facts", from, by, to, count_of(table, 0, 1).text(),
                                    count_of(ids).text(), number(std::max<int64_t>(row, 1)),
                                    number(dst.row_stride > 0 ? dst.row_stride : row)}) +
              ";\n";
  if (row == 0) return {};
  return {text};
}

std::vector<KernelText> prepare_scatter_add(const Binding& binding) {
  const Buffer &ids = binding.operands[0], &updates = binding.operands[1];
  const Buffer& dst = binding.results[0];
  require_elements(binding, dst, 0);
  const Count size = count_of(dst, 0, 1);
  const int threads = kThreads;
  KernelText text = kernel("index", 0, dst);
  Arguments arguments(text);
  const std::string by = arguments.in(ids), from = arguments.in(updates), to = arguments.out(dst);
  text.body =
      "  " +
      call("slim::scatter_add<" + number(threads) + '>',
           {"a.facts", by, from, to, size.text(), count_of(ids).text(), number(dst.inner())}) +
      ";\n";
  text.grid = {std::max<int64_t>(size.capacity, 1), threads};
  const auto terms = static_cast<double>(count_of(updates).capacity);
  text.cost = {terms, 12 * terms};
  return {text};
}

// All digits of it, as a number of the type.
std::string exact(DType dtype, double value) {
  char digits[64];
  std::snprintf(digits, sizeof digits, "%.17g", value);
  return "static_cast<" + c_type(dtype) + ">(" + digits + ')';
}

std::vector<KernelText> prepare_one_hot(const Binding& binding) {
  const Buffer &ids = binding.operands[0], &dst = binding.results[0];
  KernelText text = kernel("index", count_of(dst).capacity, dst);
  Arguments arguments(text);
  const std::string by = arguments.in(ids), to = arguments.out(dst);
  const int64_t depth = dst.dims.back();
  if (depth == 0) return {};
  text.body = "  " +
              call("slim::one_hot", {by, to, count_of(ids).text(), number(depth), number(dst.row()),
                                     exact(dst.dtype, binding.number("on_value", 1.0)),
                                     exact(dst.dtype, binding.number("off_value", 0.0))}) +
              ";\n";
  return {text};
}

}  // namespace

SLIM_CUDA_KERNEL(gather, prepare_gather);
SLIM_CUDA_KERNEL(scatter_add, prepare_scatter_add);
SLIM_CUDA_KERNEL(one_hot, prepare_one_hot);

}  // namespace slim::cuda
