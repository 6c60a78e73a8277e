// Of sparse rows: csr_matmul, csr_transpose, csr_one_hot.
#include <bit>

#include "cuda/product.h"

namespace slim::cuda {
namespace {

constexpr double kCostStored = 32;  // stored elements of a row: plans do not know the data
constexpr int kDigitBits = 8;       // of kernels/sparse.cuh, whose blocks have as many threads
constexpr int64_t kSortBlocks = 64;

// Rows of a, as a call may list them.
std::string listed_words(const std::string& sparse, const Buffer& a) {
  return sparse + ".listed(" + count_of(a, 0, 1).text() + ")";
}

std::vector<KernelText> prepare_csr_matmul(const Binding& binding) {
  const Buffer &a = binding.operands[0], &b = binding.operands[1], &c = binding.results[0];
  const int64_t n = b.dims[1];
  if (n == 0) return {};
  if (n >= int64_t{1} << 30) binding.refuse("is a product too large for one CUDA kernel");
  const auto columns =
      static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::min<int64_t>(n, 32))));
  const int64_t down = columns == 1 ? 32 : 8, together = kThreads / (columns * down);
  const bool by_list = c.storage == Storage::rows;
  KernelText text;
  text.headers = {"sparse"};
  Arguments arguments(text);
  const std::string rows = arguments.sparse(a), matrix = arguments.in(b);
  const std::string type = c_type(a.dtype);  // a region may give another
  const std::string store = by_list ? "[&](long long at, " + type + " x) { " +
                                          arguments.array(c, Array::values, type) + "[at] = x; }"
                                    : store_text(binding, a.dtype, text);
  text.body =
      "  const slim::Sparse<" + type + "> rows = " + rows + ";\n  " +
      call("slim::csr_matmul<" + words({columns, down, together}) +
               (by_list ? ", true>" : ", false>"),
           {"rows", matrix, listed_words("rows", a), count_of(a, 0, 1).text(), number(n), store}) +
      ";\n";
  text.grid = {std::clamp<int64_t>(ceil_div(a.dims[0], together), 1, 132 * 8), kThreads};
  const auto height = static_cast<double>(a.dims[0]), width = static_cast<double>(n);
  const double terms = kCostStored * static_cast<double>(std::min(a.dims[0], a.dims[1])) * width;
  text.cost.flops = 2 * terms + (by_list ? 0 : height * width);
  text.cost.bytes = text.cost.flops * static_cast<double>(size_of(c.dtype));
  return {text};
}

std::vector<int64_t> workspace_csr_transpose(const Binding&) {
  return {kSortBlocks << kDigitBits << 2, kSortBlocks << 2};
}

// A kernel of the transpose: a function of the operand and what `given` adds to it.
template <class Given>
KernelText transpose_kernel(const Binding& binding, const std::string& function,
                            const Given& given) {
  const Buffer& src = binding.operands[0];
  KernelText text;
  text.headers = {"sparse"};
  Arguments arguments(text);
  std::vector<std::string> words{arguments.sparse(src)};
  given(arguments, words);
  text.body = "  " + call("slim::" + function, words) + ";\n";
  text.grid = {kSortBlocks, kThreads};
  text.cost.flops = kCostStored * static_cast<double>(std::min(src.dims[0], src.dims[1]));
  text.cost.bytes = 16 * text.cost.flops;
  return text;
}

std::vector<KernelText> prepare_csr_transpose(const Binding& binding) {
  const Buffer &src = binding.operands[0], &dst = binding.results[0];
  const Buffer &digits = binding.workspace[0], &columns = binding.workspace[1];
  const std::string rows = count_of(src, 0, 1).text();
  const auto pairs = [&](Arguments& arguments, bool other) {
    return arguments.array(dst, other ? Array::other_pairs : Array::pairs, "unsigned long long");
  };
  const auto counts = [](Arguments& arguments, const Buffer& buffer) {
    return arguments.array(buffer, Array::dense, "unsigned int");
  };
  const auto row_of = [&](Arguments& arguments) {
    return arguments.array(dst, Array::row_of, "int");
  };
  std::vector<KernelText> all;
  const auto add = [&](const char* function, const auto& given) {
    all.push_back(transpose_kernel(binding, function, given));
  };
  add("list_pairs", [&](Arguments& arguments, std::vector<std::string>& words) {
    words.insert(words.end(), {pairs(arguments, false), row_of(arguments), rows});
  });
  const int bits = std::bit_width(static_cast<uint64_t>(std::max<int64_t>(src.dims[1] - 1, 1)));
  bool other = false;  // which of the two lists has the pairs
  for (int shift = 0; shift < bits; shift += kDigitBits, other = !other) {
    add("count_digits", [&](Arguments& arguments, std::vector<std::string>& words) {
      words.insert(words.end(),
                   {pairs(arguments, other), counts(arguments, digits), rows, number(shift)});
    });
    add("sort_by_digit", [&](Arguments& arguments, std::vector<std::string>& words) {
      words.insert(words.end(), {pairs(arguments, other), pairs(arguments, !other),
                                 counts(arguments, digits), rows, number(shift)});
    });
  }
  add("count_columns", [&](Arguments& arguments, std::vector<std::string>& words) {
    words.insert(words.end(), {pairs(arguments, other), counts(arguments, columns), rows});
  });
  add("list_columns", [&](Arguments& arguments, std::vector<std::string>& words) {
    words.insert(words.end(), {arguments.sparse(dst), pairs(arguments, other), row_of(arguments),
                               counts(arguments, columns), rows});
  });
  return all;
}

std::vector<KernelText> prepare_csr_one_hot(const Binding& binding) {
  const Buffer &ids = binding.operands[0], &dst = binding.results[0];
  KernelText text;
  text.headers = {"sparse"};
  Arguments arguments(text);
  const std::string by = arguments.in(ids), to = arguments.sparse(dst);
  text.body =
      "  " +
      call("slim::csr_one_hot", {"a.facts", by, to, count_of(ids).text(), number(dst.dims[1])}) +
      ";\n";
  text.grid = grid_over(count_of(ids).capacity + 1);
  text.cost = {static_cast<double>(ids.dims[0]), 24 * static_cast<double>(ids.dims[0])};
  return {text};
}

}  // namespace

SLIM_CUDA_KERNEL(csr_matmul, prepare_csr_matmul);
SLIM_CUDA_KERNEL(csr_transpose, prepare_csr_transpose, workspace_csr_transpose);
SLIM_CUDA_KERNEL(csr_one_hot, prepare_csr_one_hot);

}  // namespace slim::cuda
