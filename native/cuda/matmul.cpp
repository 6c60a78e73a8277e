// matmul: products of matrices, one or a stack of them.
#include "cuda/library.h"
#include "cuda/product.h"

namespace slim::cuda {
namespace {

struct Operands {
  explicit Operands(const Binding& binding)
      : transpose_a(binding.flag("transpose_a", false)),
        transpose_b(binding.flag("transpose_b", false)) {
    const Buffer &a = binding.operands[0], &b = binding.operands[1];
    const size_t ra = a.dims.size(), rb = b.dims.size();
    const bool stack = rb > 2;
    shape.dtype = computed_in(a.dtype);
    if (stack) shape.batches = count_of(a, 0, ra - 2);
    // Rows of a, in front of its last axis.
    const size_t first = stack ? ra - 2 : 0;
    const Count rows = count_of(a, first, ra - 1), columns = count_of(a, ra - 1, ra);
    shape.m = transpose_a ? columns : rows;
    shape.k = transpose_a ? rows : columns;
    shape.n = b.dims[rb - (transpose_b ? 2 : 1)];
    a_stride = a.dims[ra - 1];
    b_stride = b.dims[rb - 1];
    if (stack) {
      a_step = a.dims[ra - 2] * a_stride;
      b_step = b.dims[rb - 2] * b_stride;
    }
  }

  bool transpose_a, transpose_b;
  ProductShape shape;
  int64_t a_stride, b_stride;
  int64_t a_step = 0, b_step = 0;
};

std::vector<int64_t> workspace_matmul(const Binding& binding) {
  return product_workspace(binding, Operands(binding).shape);
}

LibraryTask library_matmul(const Binding& binding) {
  const Operands given(binding);
  LibraryTask task;
  Multiplication& what = task.product.emplace();
  what.dtype = binding.operands[0].dtype;
  what.transpose_a = given.transpose_a;
  what.transpose_b = given.transpose_b;
  what.batches = given.shape.batches.capacity;
  what.m = given.shape.m.capacity;
  what.n = given.shape.n;
  what.k = given.shape.k.capacity;
  what.a_stride = given.a_stride;
  what.b_stride = given.b_stride;
  what.a_step = given.a_step;
  what.b_step = given.b_step;
  task.sums_rows =
      given.transpose_a && binding.operands[1].dims.size() == 2 && binding.operands[0].per_row > 0;
  return task;
}

std::vector<KernelText> prepare_matmul(const Binding& binding) {
  const Operands given(binding);
  const auto multiply = [&](const ProductCut& cut, Arguments& arguments, const std::string& store) {
    const std::string a = arguments.in(binding.operands[0]), b = arguments.in(binding.operands[1]);
    const auto flag = [](bool is) { return std::string(is ? ", true" : ", false"); };
    return call("slim::matmul" + cut.kind + flag(given.transpose_a) + flag(given.transpose_b) + '>',
                {a, b, cut.product,
                 words({given.a_step, given.b_step, given.a_stride, given.b_stride}), store});
  };
  return product_launches(binding, given.shape, multiply);
}

}  // namespace

SLIM_CUDA_KERNEL(matmul, prepare_matmul, workspace_matmul, library_matmul);

}  // namespace slim::cuda
