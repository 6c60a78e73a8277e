// Reads the attributes of loops; type rules have checked, or are about to check, the rest.
#include "ir/loop.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace slim {

bool is_loop(const Node& node) { return node.op == "scan" || node.op == "while_loop"; }

LoopForm::LoopForm(const NodeView& v) {
  const Node& node = v.node;
  const auto count = [&](const char* key, size_t most) {
    const int64_t number = v.integer(key);
    if (number < 0 || number > static_cast<int64_t>(most)) {
      v.refuse(std::string(key) + " is " + std::to_string(number) + ", needs 0 to " +
               std::to_string(most));
    }
    return static_cast<size_t>(number);
  };
  is_while = node.op == "while_loop";
  if (node.regions.size() != (is_while ? 2 : 1)) {
    v.refuse(is_while ? "needs two regions" : "needs a region");
  }
  const size_t yields = body(node).returns.size();
  if (is_while) {
    carried = count("carried", std::min(node.operands.size(), yields));
    length = Dim(v.integer("maximum"));
  } else {
    counted = v.flag("counted");
    reverse = v.flag("reverse");
    const size_t operands = node.operands.size();
    if (counted && operands == 0) v.refuse("needs the number of steps");
    carried = count("carried", std::min(operands - first_carried(), yields));
    scanned = count("scanned", operands - first_scanned());
    try {
      length = Dim::parse(std::get<std::string>(node.attributes.at("length")));
    } catch (const std::invalid_argument& error) {
      v.refuse(std::string("length: ") + error.what());
    }
    axes = v.integers("axes");
  }
  stacked = yields - carried;
  if (is_while) axes.assign(stacked, 0);
  if (axes.size() != scanned + stacked) {
    v.refuse("needs an axis for each scanned and each stacked value, got " +
             std::to_string(axes.size()));
  }
}

}  // namespace slim
