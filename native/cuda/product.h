// How products of matrices are cut into tiles and slices (kernels/gemm.cuh), and the launches that
// come of one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cuda/shapes.h"

namespace slim::cuda {

// [batches, m, n] over k terms each.
struct ProductShape {
  DType dtype;
  Count batches, m;
  int64_t n = 1;
  Count k;
};

struct ProductCut {
  ProductCut(const Binding& binding, const ProductShape& shape);

  // "<float, slim::Tile<…>, pieces": the first arguments of a template of gemm.cuh
  std::string kind;
  std::string product;  // "slim::Product{…}"
  int64_t slices = 1;
  int64_t partial_bytes = 0;  // of what slices give; 0: there is one slice
  Grid grid;
  Cost cost;
};

// What workspace a product needs: for its slices.
std::vector<int64_t> product_workspace(const Binding& binding, const ProductShape& shape);

// The call of a template of gemm.cuh that computes the product, and gives each element to `store`,
// a functor in words: (index in [slices, result], sum).
using Multiply =
    std::function<std::string(const ProductCut&, Arguments&, const std::string& store)>;

// A functor in words, (index in the result, sum), that stores an element where it is to be; the
// node's region makes of it what that is.
std::string store_text(const Binding& binding, DType dtype, KernelText& text);

// The sum of the slices of all `elements` of the result, through the node's region if it has one.
KernelText sum_of_slices(const Binding& binding, int64_t elements, const Buffer& parts,
                         int64_t slices);

// The product, through the node's region if it has one; where it is cut into slices, these and
// their sum.
std::vector<KernelText> product_launches(const Binding& binding, const ProductShape& shape,
                                         const Multiply& multiply);

}  // namespace slim::cuda
