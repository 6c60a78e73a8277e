// The passes, one file each: every one keeps the values of a function and its types.
#pragma once

#include "ir/graph.h"

namespace slim {

// What a pass asks of the machine that will run the function.
struct Device {
  virtual ~Device() = default;
  // The node may stand in a fused region (`graph` holds its types).
  virtual bool accepts_elementwise(const Graph& graph, const Node& node) const;
  // The matmul may end in this region.
  virtual bool accepts_epilogue(const Node& matmul, const Graph& region) const;
  // A sum may stand in a fused region: over all of a list, with scalars computed from it after,
  // or of a product.
  virtual bool accepts_reduction(const Graph& graph, const Node& node) const;
};

void simplify(Function& function);
void share(Function& function);
void prune(Function& function);
void detach(Function& function);
void legalize_broadcast(Function& function);
void fuse_reduction(Function& function, const Device& device);
void fuse_epilogue(Function& function, const Device& device);
void fuse_elementwise(Function& function, const Device& device);

// All of them, in the order of pipeline.cpp. SLIM_DUMP=1 prints the text after each pass.
void optimize(Function& function, const Program& program, const Device& device);

// One pass by its name; throws std::invalid_argument for an unknown name.
void run_pass(Function& function, const std::string& pass, const Device& device);

}  // namespace slim
