// Which nodes are a library's, and what runs before and after one.
#include "cuda/library.h"

#include <cstdlib>
#include <numeric>
#include <set>

#include "cuda/library_convolution.h"
#include "cuda/library_product.h"
#include "cuda/library_widened.h"
#include "cuda/shapes.h"
#include "cuda/whole.h"
#include "ir/ops.h"

namespace slim::cuda {
namespace {

constexpr double kLibraryWorth = 200e6;  // flops that are worth the launch of a library's kernel

// The elements of a value without its last axes, for so many rows.
double size_over(const Binding& binding, ValueId id, int64_t rows, size_t skipped = 0) {
  const std::vector<Dim>& dims = binding.graph.values[static_cast<size_t>(id)].type.dims;
  double product = 1;
  for (size_t i = 0; i + skipped < dims.size(); ++i) {
    std::set<std::string> names;
    dims[i].add_symbols(names);
    std::map<std::string, int64_t> symbols;
    for (const std::string& name : names) symbols[name] = rows;
    product *= static_cast<double>(dims[i].evaluate(symbols));
  }
  return product;
}

double last_of(const Binding& binding, ValueId id, int64_t rows) {
  return size_over(binding, id, rows) / std::max(size_over(binding, id, rows, 1), 1.0);
}

// Of [.., m, k] and [.., k, n].
double flops_of_matmul(const Binding& binding, const Node& node, int64_t rows) {
  const auto transposed = node.attributes.find("transpose_a");
  const bool by_columns = transposed != node.attributes.end() && std::get<bool>(transposed->second);
  const ValueId left = node.operands[0];
  const bool stack =
      binding.graph.values[static_cast<size_t>(node.operands[1])].type.dims.size() > 2;
  const double k = !by_columns ? last_of(binding, left, rows)
                   : stack     ? 1
                               : size_over(binding, left, rows, 1);
  return 2 * size_over(binding, node.results[0], rows) * k;
}

// Of y, whose elements are sums over the taps and channels of the filters.
double flops_of_convolution(const Binding& binding, const Node& node, int64_t rows) {
  const bool forward = node.op == "convolution", of_filters = node.op == "convolution_filter_grad";
  const ValueId y = forward ? node.results[0] : of_filters ? node.operands[1] : node.operands[0];
  const ValueId filters = of_filters ? node.results[0] : node.operands[1];
  return 2 * size_over(binding, y, rows) * size_over(binding, filters, rows, 1);
}

// Of all products and convolutions of the graph, for as many rows as the binding has.
double flops_of_all(const Binding& binding) {
  const Buffer& a = binding.operands[0];
  if (a.per_row == 0) return 0;
  const int64_t rows = a.dims[0] / a.per_row;
  double flops = 0;
  for (const Node& node : binding.graph.nodes) {
    if (node.op == "matmul") flops += flops_of_matmul(binding, node, rows);
    if (node.op.starts_with("convolution")) flops += flops_of_convolution(binding, node, rows);
  }
  return flops;
}

// Small steps stay one kernel (whole.h), so that what is in one is never a library's. For tests
// and measurements a variable says from how many flops on one is; 0, never.
bool is_large(const Binding& binding, double flops, std::initializer_list<const char*> variables) {
  for (const char* variable : variables) {
    if (const char* wish = std::getenv(variable)) {
      const double least = std::atof(wish);
      return least > 0 && flops >= least;
    }
  }
  return flops >= kLibraryWorth && std::max(flops, flops_of_all(binding)) > kMostWholeFlops;
}

// Whether a value is rounded to 16 bits where it is computed; of what comes from elsewhere nobody
// knows.
bool is_rounded(const Graph& graph, ValueId id) {
  for (const Node& node : graph.nodes) {
    const auto result = std::find(node.results.begin(), node.results.end(), id);
    if (result == node.results.end()) continue;
    if (rounded_to(node)) return true;
    const auto at = static_cast<size_t>(result - node.results.begin());
    return !node.regions.empty() && !runs_regions(node) && at < node.regions[0].returns.size() &&
           is_rounded(node.regions[0], node.regions[0].returns[at]);
  }
  return false;
}

// Operands of 16 bits TF32 has as they are.
bool takes_tf32(const Binding& binding) {
  if (binding.operands[0].dtype != DType::f32) return false;
  const char* tf32 = std::getenv("SLIM_CUDA_TF32");
  if (tf32 != nullptr && tf32 == std::string("1")) return true;
  return is_rounded(binding.graph, binding.node.operands[0]) &&
         is_rounded(binding.graph, binding.node.operands[1]);
}

// Of which powers of two the place of a value is a multiple. What is no part of another one begins
// where a library wants it.
int64_t alignment_of(const Buffer& buffer) { return std::gcd(kMostAligned, buffer.offset); }

void tell_alignments(Multiplication& product, const Binding& binding) {
  product.a_alignment = alignment_of(binding.operands[0]);
  product.b_alignment = alignment_of(binding.operands[1]);
  // What a region makes something else of lies in the workspace.
  if (binding.node.regions.empty()) product.result_alignment = alignment_of(binding.results[0]);
}

std::unique_ptr<ByLibrary> ask(Driver& driver, const LibraryTask& task) {
  if (task.product) {
    Products* products = driver.products();
    return products == nullptr ? nullptr : product_of(*products, task);
  }
  Convolutions* convolutions = driver.convolutions();
  return convolutions == nullptr ? nullptr : convolution_of(*convolutions, task);
}

}  // namespace

std::unique_ptr<ByLibrary> find_library(const Binding& binding, Driver& driver) {
  const Row* row = find_row(binding.node.op);
  if (row == nullptr || row->library == nullptr) return nullptr;
  LibraryTask task = row->library(binding);
  const bool large = task.product
                         ? is_large(binding, task.product->flops(), {"SLIM_CUDA_LIBRARY"})
                         : task.convolution && is_large(binding, task.convolution->flops(),
                                                        {"SLIM_CUDA_DNN", "SLIM_CUDA_LIBRARY"});
  if (!large) return nullptr;
  if (task.product) tell_alignments(*task.product, binding);
  const auto multiply_as = [&](DType dtype, bool tf32) {
    if (task.product) {
      task.product->dtype = dtype;
      task.product->tf32 = tf32;
    } else {
      task.convolution->dtype = dtype;
      task.convolution->tf32 = tf32;
    }
    return ask(driver, task);
  };
  const DType dtype = binding.operands[0].dtype;
  auto library = multiply_as(dtype, takes_tf32(binding));
  if (library != nullptr || !is_sixteen_bits(dtype)) return library;
  if (task.product) task.product->a_alignment = task.product->b_alignment = kMostAligned;  // copies
  library = multiply_as(DType::f32, true);
  return library == nullptr ? nullptr : widened(std::move(library));
}

// What has rows has a place in scratch of its own, for as many as the capacity.
KernelText clear_tails(const Binding& binding) {
  KernelText text;
  text.headers = {"fill"};
  Arguments arguments(text);
  int64_t most = 1;
  for (size_t i = 0; i < 2; ++i) {
    const Buffer& buffer = binding.operands[i];
    const Count count = count_of(buffer);
    text.body += "  " +
                 call("slim::clear", {arguments.out(buffer), count.text(),
                                      std::to_string(count.capacity) + "LL"}) +
                 ";\n";
    most = std::max(most, count.capacity);
  }
  text.grid = {std::min<int64_t>(grid_over(most).blocks, 132), kThreads};
  text.cost = {0, static_cast<double>(size_of(binding.operands[0].dtype))};
  return text;
}

std::byte* aligned(const Buffer& workspace, const Context& context) {
  auto* at = workspace.in<std::byte>(context);
  const auto address = reinterpret_cast<uintptr_t>(at);
  return at + (kLibraryAligned - address % kLibraryAligned) % kLibraryAligned;
}

}  // namespace slim::cuda
