// Along the last axis: softmax, log_softmax, and the losses of logits.
#include "cuda/shapes.h"

namespace slim::cuda {
namespace {

// `function` of kernels/softmax.cuh over rows of operand 0. Operands and results that have its
// shape are rows too, others have an element for each.
std::vector<KernelText> prepare(const Binding& binding, const std::string& function,
                                bool labelled) {
  require_last_axis(binding);
  const Buffer& src = binding.operands[0];
  const int64_t width = src.dims.back();
  const Count rows = count_of(src, 0, src.dims.size() - 1);
  const int64_t down = power_below(width, kThreads), across = kThreads / down;
  KernelText text;
  text.headers = {"softmax"};
  Arguments arguments(text);
  std::vector<std::string> given;
  if (labelled) given.push_back("a.facts");
  const auto add = [&](const Buffer& buffer, bool writes) {
    const std::string at = writes ? arguments.out(buffer) : arguments.in(buffer);
    if (buffer.dims.size() < src.dims.size()) return given.push_back(at);
    given.push_back(std::string("slim::Rows<") + (writes ? "" : "const ") + c_type(buffer.dtype) +
                    ">{" + at + ", " + std::to_string(buffer.row()) + '}');
  };
  for (const Buffer& buffer : binding.operands) add(buffer, false);
  for (const Buffer& buffer : binding.results) add(buffer, true);
  given.push_back(rows.text());
  given.push_back(std::to_string(width));
  text.body = "  " +
              call("slim::" + function + '<' + c_type(src.dtype) + ", slim::Team<" +
                       words({across, down}) + ", true>>",
                   given) +
              ";\n";
  text.grid = {std::max<int64_t>(ceil_div(rows.capacity, across), 1), kThreads};
  const auto count = static_cast<double>(rows.capacity * width);
  text.cost = {24 * count, 2 * count * static_cast<double>(size_of(src.dtype))};
  return {text};
}

std::vector<KernelText> prepare_softmax(const Binding& binding) {
  return prepare(binding, "softmax", false);
}
std::vector<KernelText> prepare_log_softmax(const Binding& binding) {
  return prepare(binding, "log_softmax", false);
}
std::vector<KernelText> prepare_sparse_loss(const Binding& binding) {
  return prepare(binding, "sparse_loss", true);
}
std::vector<KernelText> prepare_sparse_loss_grad(const Binding& binding) {
  return prepare(binding, "sparse_loss_grad", true);
}
std::vector<KernelText> prepare_dense_loss(const Binding& binding) {
  return prepare(binding, "dense_loss", false);
}

}  // namespace

SLIM_CUDA_KERNEL(softmax, prepare_softmax);
SLIM_CUDA_KERNEL(log_softmax, prepare_log_softmax);
SLIM_CUDA_KERNEL(sparse_softmax_cross_entropy, prepare_sparse_loss);
SLIM_CUDA_KERNEL(sparse_softmax_cross_entropy_grad, prepare_sparse_loss_grad);
SLIM_CUDA_KERNEL(softmax_cross_entropy, prepare_dense_loss);

}  // namespace slim::cuda
