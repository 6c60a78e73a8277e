// Which products are a library's, and what runs before and after them.
#include "cuda/library_product.h"

#include <cstdlib>
#include <set>

#include "cuda/call.h"
#include "cuda/product.h"
#include "cuda/whole.h"

namespace slim::cuda {
namespace {

constexpr double kBlasWorth = 200e6;   // flops of a product whose launch is worth it
constexpr int64_t kBlasAligned = 256;  // of the library's workspace; buffers have less

// Of all products of the graph, for as many rows as the binding has.
double flops_of_products(const Binding& binding) {
  const Buffer& a = binding.operands[0];
  if (a.per_row == 0) return 0;
  const int64_t rows = a.dims[0] / a.per_row;
  double flops = 0;
  for (const Node& node : binding.graph.nodes) {
    if (node.op != "matmul") continue;
    const auto count = [&](ValueId id, size_t skipped) {
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
    };
    // Elements of the result, and of the left operand by its rows: [.., m, n] and [.., m, k].
    const auto transposed = node.attributes.find("transpose_a");
    const bool by_columns =
        transposed != node.attributes.end() && std::get<bool>(transposed->second);
    const ValueId left = node.operands[0];
    const double last = count(left, 0) / std::max(count(left, 1), 1.0);
    const bool stack =
        binding.graph.values[static_cast<size_t>(node.operands[1])].type.dims.size() > 2;
    const double k = !by_columns ? last : stack ? 1 : count(left, 1);
    flops += 2 * count(node.results[0], 0) * k;
  }
  return flops;
}

// Small steps stay one kernel (whole.h), so that what is in one is never a library's.
bool is_large(const Binding& binding, const Multiplication& what) {
  // For tests and measurements: 0, never; else from so many flops on.
  if (const char* wish = std::getenv("SLIM_CUDA_LIBRARY")) {
    const double least = std::atof(wish);
    return least > 0 && what.flops() >= least;
  }
  return what.flops() >= kBlasWorth &&
         std::max(what.flops(), flops_of_products(binding)) > kMostWholeFlops;
}

// Terms that are rows of the batch: those beyond its end must not count.
bool sums_rows(const Binding& binding) {
  return binding.flag("transpose_a", false) && binding.operands[1].dims.size() == 2 &&
         binding.operands[0].per_row > 0;
}

// Zeros behind the rows of a batch, where a value of other times may lie, even NaN. What has rows
// has a place in scratch of its own, for as many as the capacity.
KernelText clear_tails(const Binding& binding, DType dtype) {
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
  text.cost = {0, static_cast<double>(size_of(dtype))};
  return text;
}

class ProductLaunch final : public LibraryLaunch {
 public:
  ProductLaunch(Products& products, std::shared_ptr<const Product> product, Cost cost, Buffer a,
                Buffer b, Buffer result, Buffer workspace)
      : products_(products),
        product_(std::move(product)),
        cost_(cost),
        a_(std::move(a)),
        b_(std::move(b)),
        result_(std::move(result)),
        workspace_(std::move(workspace)) {}

  Cost cost(int64_t) const override { return cost_; }
  // All rows of the capacity: those beyond the batch's are computed of what lies there, and nobody
  // reads them.
  void run(const Context& context, int64_t, std::byte*) const noexcept override {
    auto* workspace = workspace_.in<std::byte>(context);
    const auto address = reinterpret_cast<uintptr_t>(workspace);
    workspace += (kBlasAligned - address % kBlasAligned) % kBlasAligned;
    products_.multiply(static_cast<const Call&>(*context.call).stream, *product_,
                       a_.in<std::byte>(context), b_.in<std::byte>(context),
                       result_.in<std::byte>(context), workspace);
  }
  // What a library does when it is first called it may not do while a stream is recorded. Nobody
  // waits for the result, which lies where a step writes before it reads.
  void warm(const Context& context) const noexcept override {
    if (result_.base == Base::scratch || result_.base == Base::gradient) run(context, 0, nullptr);
  }

 private:
  Products& products_;
  std::shared_ptr<const Product> product_;
  Cost cost_;
  Buffer a_, b_, result_, workspace_;
};

int64_t result_bytes(const Multiplication& what) {
  return what.batches * what.m * what.n * size_of(what.dtype);
}

}  // namespace

std::optional<LibraryProduct> LibraryProduct::find(const Binding& binding, Driver& driver) {
  const Row* row = find_row(binding.node.op);
  if (row == nullptr || row->library == nullptr) return {};
  Multiplication what = row->library(binding);
  if (!is_large(binding, what)) return {};
  const char* tf32 = std::getenv("SLIM_CUDA_TF32");
  what.tf32 = what.dtype == DType::f32 && tf32 != nullptr && tf32 == std::string("1");
  Products* products = driver.products();
  if (products == nullptr) return {};
  std::shared_ptr<const Product> product = products->choose(what);
  if (product == nullptr) return {};
  return LibraryProduct(*products, what, std::move(product));
}

// The library's, and the product itself where the node's region makes something else of it.
std::vector<int64_t> LibraryProduct::workspace(const Binding& binding) const {
  std::vector<int64_t> bytes{product_->workspace_bytes() + kBlasAligned};
  if (!binding.node.regions.empty()) bytes.push_back(result_bytes(what_));
  return bytes;
}

std::vector<std::unique_ptr<Launch>> LibraryProduct::launches(const Binding& binding) const {
  std::vector<std::unique_ptr<Launch>> all;
  if (sums_rows(binding)) {
    all.push_back(std::make_unique<KernelLaunch>(clear_tails(binding, what_.dtype)));
  }
  const bool goes_on = !binding.node.regions.empty();
  Buffer result = goes_on ? binding.workspace[1] : binding.results[0];
  result.dtype = what_.dtype;
  const Cost cost{what_.flops(), static_cast<double>(result_bytes(what_))};
  all.push_back(std::make_unique<ProductLaunch>(products_, product_, cost, binding.operands[0],
                                                binding.operands[1], result, binding.workspace[0]));
  if (goes_on) {
    all.push_back(std::make_unique<KernelLaunch>(
        sum_of_slices(binding, what_.batches * what_.m * what_.n, result, 1)));
  }
  return all;
}

}  // namespace slim::cuda
