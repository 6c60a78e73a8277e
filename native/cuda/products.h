// Products of matrices by a library of the driver's.
#pragma once

#include <compare>
#include <memory>
#include <string>

#include "cuda/driver.h"
#include "ir/ops.h"

namespace slim::cuda {

inline constexpr int64_t kMostAligned = 16;  // bytes of the widest load: no library wants more

// result[m, n] = a·b over k terms, row-major and dense, `batches` times. Sums of operands of
// sixteen bits are float32's, and so is the result.
struct Multiplication {
  DType dtype = DType::f32;  // of the operands
  bool tf32 = false;         // operands may be rounded to it
  bool transpose_a = false, transpose_b = false;
  int64_t batches = 1, m = 1, n = 1, k = 1;
  int64_t a_stride = 1, b_stride = 1;  // elements from row to row
  int64_t a_step = 0, b_step = 0;      // from one of the batches to the next
  // Bytes of which the places of the arrays are multiples.
  int64_t a_alignment = kMostAligned, b_alignment = kMostAligned, result_alignment = kMostAligned;

  auto operator<=>(const Multiplication&) const = default;
  DType result_type() const { return computed_in(dtype); }
  double flops() const {
    return 2.0 * static_cast<double>(batches * m) * static_cast<double>(n * k);
  }
};

// How one of them is computed.
class Product {
 public:
  virtual ~Product() = default;
  virtual int64_t workspace_bytes() const = 0;
};

// Calls from any thread.
class Products {
 public:
  virtual ~Products() = default;
  virtual std::string version() const = 0;  // "cuBLASLt 13.1.0"
  // The same answer as often as it is asked; null: the library does not do it.
  virtual std::shared_ptr<const Product> choose(const Multiplication& what) = 0;
  // In the order of the stream, which may be recorded.
  virtual void multiply(Stream& stream, const Product& product, const std::byte* a,
                        const std::byte* b, std::byte* result, std::byte* workspace) noexcept = 0;
};

}  // namespace slim::cuda
