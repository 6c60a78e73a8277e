// Finds each input's source by name and checks its rows.
#include "runtime/bind.h"

#include <algorithm>
#include <stdexcept>

namespace slim {
namespace {

const Source& source_of(const InputSlot& slot, const std::vector<Source>& sources) {
  std::string have;
  for (const Source& source : sources) {
    if (source.name == slot.source) return source;
    have += (have.empty() ? "" : ", ") + source.name;
  }
  throw std::invalid_argument("[input " + slot.name + "] source " + slot.source +
                              " is missing: given are " + (have.empty() ? "none" : have));
}

}  // namespace

std::vector<Gather> bind_sources(const Plan& plan, const std::vector<Source>& sources,
                                 const std::vector<uint32_t>& index) {
  const int64_t needed =
      index.empty() ? 0 : int64_t{*std::max_element(index.begin(), index.end())} + 1;
  std::vector<Gather> gathers;
  for (const InputSlot& slot : plan.inputs()) {
    const Source& source = source_of(slot, sources);
    gathers.emplace_back(slot, source);
    if (slot.by_row && gathers.back().source_rows() < needed) {
      throw std::invalid_argument("[input " + slot.name + "] source " + slot.source + " has " +
                                  std::to_string(gathers.back().source_rows()) +
                                  " rows, the index asks for row " + std::to_string(needed - 1));
    }
  }
  return gathers;
}

int64_t common_rows(const Function& function, const std::vector<Source>& sources) {
  int64_t rows = -1;
  std::string first;
  for (const Node& node : function.graph.nodes) {
    if (node.op != "input") continue;
    const Type& type = function.graph.values[static_cast<size_t>(node.results[0])].type;
    if (type.dims.empty() || !type.dims[0].mentions("B")) continue;
    const auto& name = std::get<std::string>(node.attributes.at("source"));
    const auto source = std::find_if(sources.begin(), sources.end(),
                                     [&](const Source& given) { return given.name == name; });
    if (source == sources.end()) continue;  // missing where it is needed: bind_sources says so
    const int64_t own = source->shape.empty() ? 0 : source->shape[0];
    if (rows >= 0 && own != rows) {
      throw std::invalid_argument("sources differ in rows: " + first + " has " +
                                  std::to_string(rows) + ", " + name + " has " +
                                  std::to_string(own));
    }
    rows = own;
    first = name;
  }
  return rows;
}

}  // namespace slim
