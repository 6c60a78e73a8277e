// The table of contents of the compiler: every pass, in order.
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "ir/ops.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/passes.h"

namespace slim {
namespace {

struct Pass {
  const char* name;
  void (*run)(Body, const Accepts&, Compute);
};

template <void (*pass)(Body)>
void plain(Body body, const Accepts&, Compute) {
  pass(body);
}

template <void (*pass)(Body, const Accepts&)>
void asking(Body body, const Accepts& device, Compute) {
  pass(body, device);
}

void rounding(Body body, const Accepts&, Compute compute) { round_operands(body, compute); }

constexpr Pass kPipeline[] = {
    {"prune", plain<prune>},
    {"round_operands", rounding},
    {"simplify", plain<simplify>},
    {"hoist", plain<hoist>},
    {"share", plain<share>},
    {"legalize_broadcast", plain<legalize_broadcast>},
    {"turn_operands", plain<turn_operands>},
    {"detach", plain<detach>},
    {"fuse_reduction", asking<fuse_reduction>},  // before its products join other regions
    {"fuse_epilogue", asking<fuse_epilogue>},
    {"fuse_pooling", asking<fuse_pooling>},
    {"fuse_elementwise", asking<fuse_elementwise>},
    {"keep_rounded", asking<keep_rounded>},  // others know no type of sixteen bits
};

// In the regions of nodes first. A tape is what the passes make of a region: it stays.
void run_inside(const Pass& pass, Body body, const Accepts& device, Compute compute) {
  for (Node& node : body.graph.nodes) {
    if (!runs_regions(node)) continue;
    for (Graph& region : node.regions) run_inside(pass, region, device, compute);
  }
  pass.run(body, device, compute);
}

}  // namespace

void run_pass(Function& function, const Program& program, const std::string& name,
              const Accepts& device) {
  std::string known;
  for (const Pass& pass : kPipeline) {
    if (name == pass.name) return run_inside(pass, function, device, program.compute);
    known += std::string(known.empty() ? "" : ", ") + pass.name;
  }
  throw std::invalid_argument("there is no pass " + name + ": there are " + known);
}

void optimize(Function& function, const Program& program, const Accepts& device) {
  const char* dump = std::getenv("SLIM_DUMP");
  const bool dumping = dump != nullptr && *dump != '\0' && *dump != '0';
  for (const Pass& pass : kPipeline) {
    run_inside(pass, function, device, program.compute);
    if (dumping) {
      std::fprintf(stderr, "# after %s\n%s\n", pass.name, print(function, program).c_str());
    }
  }
  verify(function, program);
}

}  // namespace slim
