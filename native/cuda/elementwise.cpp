// `fused` and every lone elementwise op: their tapes, printed as kernels.
#include <algorithm>

#include "cuda/launch.h"
#include "kernels/source.h"
#include "kernels/tape.h"

namespace slim::cuda {
namespace {

constexpr int kThreads = 256;
// Of a kernel over many elements: each thread then takes several, one after the other.
constexpr int64_t kMostBlocks = 132 * 16;

std::vector<KernelText> prepare_tape(const Binding& binding, const Graph& region) {
  const Tape tape =
      build_tape(binding, region, binding.operands, binding.results, SpaceSplit::best);
  SourceFile file(Dialect::cuda, SourceFile::Entry::device);
  file.add("tape_NAME", binding, tape, binding.operands);
  KernelText text;
  text.formulas = file.formulas();
  text.functions = file.functions();
  text.body = "  tape_NAME(a.facts->rows";
  for (const auto* buffers : {&binding.operands, &binding.results}) {
    for (const Buffer& buffer : *buffers) {
      text.body += ", " + pointer(text.arguments.size(), buffer.dtype, buffers != &binding.operands);
      text.arguments.push_back(buffer);
    }
  }
  text.body += ");\n";
  int64_t capacity = 1;
  double bytes = 0;
  for (const Buffer& buffer : text.arguments) {
    int64_t count = 1;
    for (const int64_t dim : buffer.dims) count *= dim;
    capacity = std::max(capacity, count);
    bytes += static_cast<double>(count * size_of(buffer.dtype));
  }
  text.grid = {std::clamp<int64_t>((capacity + kThreads - 1) / kThreads, 1, kMostBlocks), kThreads};
  text.cost = {static_cast<double>(capacity), bytes};
  return {text};
}

std::vector<KernelText> prepare_fused(const Binding& binding) {
  return prepare_tape(binding, binding.node.regions[0]);
}

std::vector<KernelText> prepare_elementwise(const Binding& binding) {
  return prepare_tape(binding, region_of(binding.graph, binding.node));
}

}  // namespace

SLIM_CUDA_KERNEL(fused, prepare_fused);
SLIM_CUDA_KERNEL(broadcast, prepare_elementwise);
#define FORMULA(name, operands, types, result, cost) SLIM_CUDA_KERNEL(name, prepare_elementwise);
#define SPECIAL(name, operands, type_rule, row_rule) SLIM_CUDA_KERNEL(name, prepare_elementwise);
#define COPY(name) SLIM_CUDA_KERNEL(name, prepare_elementwise);
#include "ir/elementwise.def"

}  // namespace slim::cuda
