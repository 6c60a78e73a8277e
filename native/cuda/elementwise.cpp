// `fused` and every lone elementwise op: their tapes, printed as kernels.
#include "cuda/elementwise.h"

#include <algorithm>

#include "cuda/shapes.h"
#include "kernels/source.h"
#include "kernels/tape.h"

namespace slim::cuda {
namespace {

std::vector<KernelText> prepare_fused(const Binding& binding) {
  return {tape_text(binding, binding.node.regions[0], binding.operands, binding.results)};
}

std::vector<KernelText> prepare_elementwise(const Binding& binding) {
  return {tape_text(binding, region_of(binding.graph, binding.node), binding.operands,
                    binding.results)};
}

}  // namespace

KernelText tape_text(const Binding& binding, const Graph& region,
                     const std::vector<Buffer>& operands, const std::vector<Buffer>& results) {
  const Tape tape = build_tape(binding, region, operands, results, SpaceSplit::best);
  SourceFile file(Dialect::cuda, SourceFile::Entry::device);
  file.add("tape_NAME", binding, tape, operands);
  KernelText text;
  text.formulas = file.formulas();
  text.functions = file.functions();
  text.body = "  tape_NAME(a.facts->rows";
  Arguments arguments(text);
  for (const Buffer& buffer : operands) text.body += ", " + arguments.in(buffer);
  for (const Buffer& buffer : results) text.body += ", " + arguments.out(buffer);
  text.body += ");\n";
  int64_t capacity = 1;
  double bytes = 0;
  for (const Buffer& buffer : text.arguments) {
    int64_t count = 1;
    for (const int64_t dim : buffer.dims) count *= dim;
    capacity = std::max(capacity, count);
    bytes += static_cast<double>(count * size_of(buffer.dtype));
  }
  text.grid = grid_over(capacity);
  text.cost = {static_cast<double>(capacity), bytes};
  return text;
}

SLIM_CUDA_KERNEL(fused, prepare_fused);
SLIM_CUDA_KERNEL(broadcast, prepare_elementwise);
SLIM_CUDA_KERNEL(constant, prepare_elementwise);
#define FORMULA(name, operands, types, result, cost) SLIM_CUDA_KERNEL(name, prepare_elementwise);
#define SPECIAL(name, operands, type_rule, row_rule) SLIM_CUDA_KERNEL(name, prepare_elementwise);
#define COPY(name) SLIM_CUDA_KERNEL(name, prepare_elementwise);
#include "ir/elementwise.def"

}  // namespace slim::cuda
