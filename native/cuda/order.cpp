// One block's work: top_k of a row, orthogonal.
#include "cuda/shapes.h"

namespace slim::cuda {
namespace {

std::vector<KernelText> prepare_top_k(const Binding& binding) {
  require_last_axis(binding);
  const Buffer& src = binding.operands[0];
  const int64_t n = src.dims.back(), k = binding.results[0].dims.back();
  if (n < k) {
    binding.refuse("there are no " + number(k) + " largest of " + number(n) +
                   " elements for these rows");
  }
  const Count rows = count_of(src, 0, src.dims.size() - 1);
  KernelText text;
  text.headers = {"sort"};
  Arguments arguments(text);
  const std::string from = arguments.in(src), values = arguments.out(binding.results[0]);
  text.body = "  " +
              call("slim::top_k<" + number(kThreads) + '>',
                   {from, values, arguments.out(binding.results[1]), rows.text(), words({n, k})}) +
              ";\n";
  text.grid = {std::max<int64_t>(rows.capacity, 1), kThreads};
  const auto count = static_cast<double>(rows.capacity * n);
  text.cost = {static_cast<double>(k) * count, count * static_cast<double>(size_of(src.dtype))};
  return {text};
}

std::vector<int64_t> workspace_orthogonal(const Binding& binding) {
  const std::vector<int64_t>& dims = binding.operands[0].dims;
  const int64_t bytes = std::max<int64_t>(dims[0] * dims[1], 1) * 8;
  return {bytes, bytes, std::max<int64_t>(std::min(dims[0], dims[1]), 1) * 8};
}

std::vector<KernelText> prepare_orthogonal(const Binding& binding) {
  const Buffer &src = binding.operands[0], &dst = binding.results[0];
  if (src.per_row > 0) binding.refuse("needs a matrix of fixed size");
  const int64_t m = src.dims[0], n = src.dims[1];
  if (m * n >= 1 << 30) binding.refuse("is too large for a CUDA kernel");
  KernelText text;
  text.headers = {"orthogonal"};
  Arguments arguments(text);
  std::vector<std::string> given{arguments.in(src), arguments.out(dst)};
  for (Buffer buffer : binding.workspace) {
    buffer.dtype = DType::f64;
    given.push_back(arguments.out(buffer));
  }
  const bool wide = m < n;  // it stands there transposed
  given.push_back(words({std::max(m, n), std::min(m, n), wide ? 1 : n, wide ? n : 1}));
  text.body = "  " + call("slim::orthogonal<" + number(kThreads) + '>', given) + ";\n";
  text.grid = {1, kThreads};
  return {text};
}

}  // namespace

SLIM_CUDA_KERNEL(top_k, prepare_top_k);
SLIM_CUDA_KERNEL(orthogonal, prepare_orthogonal, workspace_orthogonal);

}  // namespace slim::cuda
