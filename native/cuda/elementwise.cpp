// `fused` and every lone elementwise op: their tapes, printed as kernels.
#include "cuda/elementwise.h"

#include <algorithm>

#include "cuda/shapes.h"
#include "kernels/source.h"
#include "kernels/tape.h"

namespace slim::cuda {
namespace {

std::vector<KernelText> prepare_tape(const Binding& binding, const Graph& region) {
  const Tape tape =
      build_tape(binding, region, binding.operands, binding.results, SpaceSplit::best);
  SourceFile file(Dialect::cuda, SourceFile::Entry::device);
  file.add("tape_NAME", binding, tape, binding.operands);
  KernelText text;
  text.formulas = file.formulas();
  text.functions = file.functions();
  text.body = "  tape_NAME(a.facts->rows";
  Arguments arguments(text);
  for (const Buffer& buffer : binding.operands) text.body += ", " + arguments.in(buffer);
  for (const Buffer& buffer : binding.results) text.body += ", " + arguments.out(buffer);
  text.body += ");\n";
  int64_t capacity = 1;
  double bytes = 0;
  for (const Argument& argument : text.arguments) {
    const Buffer& buffer = argument.buffer;
    int64_t count = 1;
    for (const int64_t dim : buffer.dims) count *= dim;
    capacity = std::max(capacity, count);
    bytes += static_cast<double>(count * size_of(buffer.dtype));
  }
  text.grid = grid_over(capacity);
  if (!tape.sums.empty()) {
    text.headers.push_back("total");
    text.grid.blocks = 1;
  }
  text.cost = {static_cast<double>(capacity), bytes};
  return {text};
}

std::vector<KernelText> prepare_fused(const Binding& binding) {
  return prepare_tape(binding, binding.node.regions[0]);
}

std::vector<KernelText> prepare_elementwise(const Binding& binding) {
  return prepare_tape(binding, region_of(binding.graph, binding.node));
}

constexpr double kLight = 16;  // flops that are worth a copy of their code for each element

}  // namespace

std::string add_element(const Binding& binding, const std::vector<Buffer>& operands,
                        KernelText& text) {
  const Tape tape =
      build_tape(binding, binding.node.regions[0], operands, binding.results, SpaceSplit::best);
  SourceFile file(Dialect::cuda, SourceFile::Entry::element);
  file.add("element_NAME", binding, tape, operands);
  double flops = 0;
  for (const auto& code : tape.code) {
    for (const Instruction& instruction : code) flops += flops_of(instruction.op);
  }
  text.formulas.insert(file.formulas().begin(), file.formulas().end());
  std::string function = file.functions();
  const std::string once = "__device__ inline void element_NAME";
  if (flops > kLight) {
    function.replace(function.find(once), once.size(), "__device__ __noinline__ void element_NAME");
  }
  text.functions += function;
  return "element_NAME";
}

SLIM_CUDA_KERNEL(fused, prepare_fused);
SLIM_CUDA_KERNEL(broadcast, prepare_elementwise);
SLIM_CUDA_KERNEL(constant, prepare_elementwise);
#define FORMULA(name, operands, types, result, cost) SLIM_CUDA_KERNEL(name, prepare_elementwise);
#define SPECIAL(name, operands, type_rule, row_rule) SLIM_CUDA_KERNEL(name, prepare_elementwise);
#define COPY(name) SLIM_CUDA_KERNEL(name, prepare_elementwise);
#include "ir/elementwise.def"

}  // namespace slim::cuda
