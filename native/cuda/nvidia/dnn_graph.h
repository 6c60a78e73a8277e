// A convolution, and what follows it, as a graph of cuDNN's.
#pragma once

#include <deque>
#include <vector>

#include "cuda/convolutions.h"
#include "cuda/nvidia/dnn_object.h"

namespace slim::cuda::nvidia {

// With all that it is made of. Throws DriverError.
class DnnGraph {
 public:
  DnnGraph(const DnnApi& api, DnnHandle handle, const ConvolutionShape& shape);

  const DnnDescriptor& descriptor() const { return graph_; }

 private:
  const DnnDescriptor& keep(DnnDescriptor made) { return made_.emplace_back(std::move(made)); }
  DnnObject add_convolution(const ConvolutionShape& shape, const DnnDescriptor& x,
                            const DnnDescriptor& filters, const DnnDescriptor& y);
  // y of x, and of b and t where the mode reads them.
  DnnObject add_step(int mode, const DnnDescriptor& x, const DnnDescriptor& y,
                     const DnnDescriptor* b = nullptr, const DnnDescriptor* t = nullptr);

  const DnnApi& api_;
  std::deque<DnnDescriptor> made_;  // in their order: none is moved any more
  DnnDescriptor graph_;
};

// The numbers of its tensors that lie somewhere, and where.
struct DnnArrays {
  std::vector<int64_t> ids;
  std::vector<void*> pointers;
};
DnnArrays arrays_of(const ConvolutionShape& shape, const ConvolutionArrays& arrays);

}  // namespace slim::cuda::nvidia
