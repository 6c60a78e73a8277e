// Which hypers a function reads, and who gives them.
#include "runtime/train/hypers.h"

#include <algorithm>
#include <set>
#include <stdexcept>
#include <vector>

namespace slim {

Hypers hypers_of(const Model& model, const Numbers& values) {
  Hypers hypers(model.program(), model.layout());
  hypers.set_if_declared("gradient_scale", 1.0);
  hypers.set_if_declared("segment.rate", 1.0);
  for (const auto& [name, value] : values) hypers.set(name, value);
  return hypers;
}

void require_hypers(const Model& model, const std::string& name, const Numbers& values) {
  // The runtime gives these itself: to each step, or to each segment.
  static const std::set<std::string> own = {
      "learning_rate", "step",          "gradient_scale",   "segment.rate", "segment.l1",
      "segment.l2",    "segment.decay", "segment.proximal", "global_rows"};
  const std::vector<std::string> measured = model.measured();
  const auto& declarations = model.program().declarations;
  for (const Node& node : model.function(name).graph.nodes) {
    for (const ValueId id : node.operands) {
      if (static_cast<size_t>(id) >= declarations.size()) continue;
      const Declaration& declaration = declarations[static_cast<size_t>(id)];
      if (declaration.kind != DeclarationKind::hyper || own.count(declaration.name) ||
          std::count(measured.begin(), measured.end(), declaration.name) > 0 ||
          values.count(declaration.name) > 0) {
        continue;
      }
      throw std::invalid_argument("function " + name + " reads the hyper " + declaration.name +
                                  ": give it a value");
    }
  }
}

}  // namespace slim
