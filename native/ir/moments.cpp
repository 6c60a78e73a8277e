// What makes a sum the first moment of its operand.
#include "ir/moments.h"

#include <algorithm>

#include "ir/type_rules.h"

namespace slim {

bool counts_terms(const Graph& graph, const Node& sum, const Node& count) {
  const std::vector<Dim>& dims = graph.values[sum.operands[0]].type.dims;
  std::vector<int64_t> axes = std::get<std::vector<int64_t>>(sum.attributes.at("axes"));
  std::sort(axes.begin(), axes.end());
  std::vector<Dim> summed;
  for (const int64_t axis : axes) summed.push_back(dims[axis]);
  const bool leads = axes.empty() || axes.back() + 1 == static_cast<int64_t>(axes.size());
  if (!leads && !std::get<bool>(sum.attributes.at("keepdims"))) return false;
  const Dim terms = count_of(summed);
  if (count.op == "extent") {
    return Dim::parse(std::get<std::string>(count.attributes.at("dim"))) == terms;
  }
  const auto number = count.attributes.find("value");
  if (count.op != "constant" || number == count.attributes.end()) return false;
  const double* value = std::get_if<double>(&number->second);
  return terms.constant() && value != nullptr && *value == static_cast<double>(*terms.constant());
}

}  // namespace slim
