// The launches of a product that a library computes.
#include "cuda/library_product.h"

#include "cuda/call.h"
#include "cuda/product.h"

namespace slim::cuda {
namespace {

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
    products_.multiply(static_cast<const Call&>(*context.call).stream, *product_,
                       a_.in<std::byte>(context), b_.in<std::byte>(context),
                       result_.in<std::byte>(context), aligned(workspace_, context));
  }
  void warm(const Context& context) const noexcept override { warm_by(result_, context); }

 private:
  Products& products_;
  std::shared_ptr<const Product> product_;
  Cost cost_;
  Buffer a_, b_, result_, workspace_;
};

int64_t result_bytes(const Multiplication& what) {
  return what.batches * what.m * what.n * size_of(what.result_type());
}

class LibraryProduct final : public ByLibrary {
 public:
  LibraryProduct(Products& products, const LibraryTask& task,
                 std::shared_ptr<const Product> product)
      : products_(products),
        what_(*task.product),
        sums_rows_(task.sums_rows),
        product_(std::move(product)) {}

  // The library's, and the product itself where the node's region makes something else of it.
  std::vector<int64_t> workspace(const Binding& binding) const override {
    std::vector<int64_t> bytes{with_alignment(product_->workspace_bytes())};
    if (!binding.node.regions.empty()) bytes.push_back(result_bytes(what_));
    return bytes;
  }

  std::vector<std::unique_ptr<Launch>> launches(const Binding& binding) const override {
    std::vector<std::unique_ptr<Launch>> all;
    if (sums_rows_) all.push_back(std::make_unique<KernelLaunch>(clear_tails(binding)));
    const bool goes_on = !binding.node.regions.empty();
    Buffer result = goes_on ? binding.workspace[1] : binding.results[0];
    result.dtype = what_.result_type();
    const Cost cost{what_.flops(), static_cast<double>(result_bytes(what_))};
    all.push_back(std::make_unique<ProductLaunch>(products_, product_, cost, binding.operands[0],
                                                  binding.operands[1], result,
                                                  binding.workspace[0]));
    if (goes_on) {
      all.push_back(std::make_unique<KernelLaunch>(
          sum_of_slices(binding, what_.batches * what_.m * what_.n, result, 1)));
    }
    return all;
  }

 private:
  Products& products_;
  Multiplication what_;
  bool sums_rows_;
  std::shared_ptr<const Product> product_;
};

}  // namespace

std::unique_ptr<ByLibrary> product_of(Products& products, const LibraryTask& task) {
  std::shared_ptr<const Product> product = products.choose(*task.product);
  if (product == nullptr) return nullptr;
  return std::make_unique<LibraryProduct>(products, task, std::move(product));
}

}  // namespace slim::cuda
