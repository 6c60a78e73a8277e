// The passes, one file each: every one keeps the values of a body and, but for
// keep_rounded, their types.
#pragma once

#include <map>
#include <string>

#include "passes/body.h"

namespace slim {

// What a pass asks of the machine that will run the function.
struct Accepts {
  virtual ~Accepts() = default;
  // The node may stand in a fused region (`graph` holds its types).
  virtual bool accepts_elementwise(const Graph& graph, const Node& node) const;
  // The product, or what draws random numbers, may end in this region.
  virtual bool accepts_epilogue(const Node& product, const Graph& region) const;
  // A sum may stand in a fused region: over all of a list, with scalars computed from it after,
  // or of a product.
  virtual bool accepts_reduction(const Graph& graph, const Node& node) const;
  // The convolution may pool its map itself, and read in its gradients what the pooling gives
  // back.
  virtual bool accepts_pooling(const Graph& graph, const Node& convolution, const Node& pool) const;
  // Products read operands of sixteen bits, and what is elementwise stores such.
  virtual bool accepts_sixteen_bits() const { return false; }
  // What the node reads and stores may be parts of other values, whose rows lie apart or follow
  // each other.
  virtual bool accepts_part(const Node&, bool) const { return true; }
  // Its launches may call what the user wrote.
  virtual bool accepts_custom(const Node&) const { return true; }
};

// Puts what a device computes into regions of nodes `placed`, one for each stretch between copies.
//
//   %h = relu(%x) : f32[B,8] @cpu:1         %h = placed(%x, device="cpu:1") {
//   %c = copy(%h) : f32[B,8]            =>    (%x : f32[B,8])
//   %y = exp(%c) : f32[B,8]                   %h = relu(%x) : f32[B,8]
//                                             yield %h
//                                           } : f32[B,8]
//                                           %y = exp(%h) : f32[B,8]
//
// `where`: what devices of the text are called; those that are not in it, and those that are
// empty, are where the plan runs, and an empty name is what no device was told for.
using Where = std::map<std::string, std::string>;
void place(Function& function, const Where& where);
void round_operands(Body body, Compute compute);
void keep_rounded(Body body, const Accepts& device);
void simplify(Body body);
void hoist(Body body);
void share(Body body);
void prune(Body body);
void detach(Body body);
void legalize_broadcast(Body body);
void turn_operands(Body body);
void fuse_reduction(Body body, const Accepts& device);
void fuse_epilogue(Body body, const Accepts& device);
void fuse_pooling(Body body, const Accepts& device);
void fuse_elementwise(Body body, const Accepts& device);

// All others, in the order of pipeline.cpp, each in the regions of nodes too, innermost first.
// SLIM_DUMP=1 prints the text after each pass.
void optimize(Function& function, const Program& program, const Accepts& device);

// One pass by its name, likewise; throws std::invalid_argument for an unknown name.
void run_pass(Function& function, const Program& program, const std::string& pass,
              const Accepts& device);

}  // namespace slim
