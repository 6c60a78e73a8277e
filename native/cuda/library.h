// What a library of the driver's computes in place of kernels of ours: large products and
// convolutions.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "cuda/convolutions.h"
#include "cuda/launch.h"
#include "cuda/products.h"

namespace slim::cuda {

// What a node asks of a library: one of the two.
struct LibraryTask {
  std::optional<Multiplication> product;
  std::optional<ConvolutionShape> convolution;
  bool sums_rows = false;  // its terms are rows of the batch
};

// A node that a library computes.
class ByLibrary {
 public:
  virtual ~ByLibrary() = default;
  virtual std::vector<int64_t> workspace(const Binding& binding) const = 0;
  virtual std::vector<std::unique_ptr<Launch>> launches(const Binding& binding) const = 0;
};

// Null where kernels of ours are to do it: by shapes, and by where in other values parts of them
// begin, so that workspace and launches agree.
std::unique_ptr<ByLibrary> find_library(const Binding& binding, Driver& driver);

// -- for those that are one

// For terms that are rows: zeros behind those of the batch, where a value of other times may lie,
// even NaN.
KernelText clear_tails(const Binding& binding);

inline constexpr int64_t kLibraryAligned = 256;  // of its workspace; buffers have less
// Of the bytes that a library asks for.
inline int64_t with_alignment(int64_t bytes) { return bytes + kLibraryAligned; }
std::byte* aligned(const Buffer& workspace, const Context& context);

}  // namespace slim::cuda
