// Large products: by a library, where the driver has one.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "cuda/launch.h"
#include "cuda/products.h"

namespace slim::cuda {

class LibraryProduct {
 public:
  // Nothing where kernels of ours are to do it: by shape alone, so that workspace and launches
  // agree.
  static std::optional<LibraryProduct> find(const Binding& binding, Driver& driver);

  std::vector<int64_t> workspace(const Binding& binding) const;
  std::vector<std::unique_ptr<Launch>> launches(const Binding& binding) const;

 private:
  LibraryProduct(Products& products, const Multiplication& what,
                 std::shared_ptr<const Product> product)
      : products_(products), what_(what), product_(std::move(product)) {}

  Products& products_;
  Multiplication what_;
  std::shared_ptr<const Product> product_;
};

}  // namespace slim::cuda
