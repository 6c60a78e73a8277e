// Substitutes symbols in every type, extent and length of a function and its regions.
#include "ir/specialise.h"

#include <stdexcept>

namespace slim {
namespace {

// The attribute that is a dimension; null: none is.
const char* dim_of(const Node& node) {
  return node.op == "extent" ? "dim" : node.op == "scan" ? "length" : nullptr;
}

Dim dim_at(const Node& node, const char* key) {
  return Dim::parse(std::get<std::string>(node.attributes.at(key)));
}

// Of what is computed: declarations that the function does not read may have other symbols.
void collect(const Graph& graph, std::set<std::string>& found) {
  for (const Node& node : graph.nodes) {
    for (const ValueId id : node.results) {
      for (const Dim& dim : graph.values[static_cast<size_t>(id)].type.dims) dim.add_symbols(found);
    }
    if (const char* key = dim_of(node)) dim_at(node, key).add_symbols(found);
    for (const Graph& region : node.regions) collect(region, found);
  }
}

void substitute(Graph& graph, const Symbols& symbols) {
  for (Value& value : graph.values) {
    for (Dim& dim : value.type.dims) {
      const auto refuse = [&](const std::string& why) {
        throw std::invalid_argument("%" + value.name + ", dimension " + dim.str() + ": " + why);
      };
      Dim sized;
      try {
        sized = dim.substitute(symbols);
      } catch (const std::invalid_argument& error) {
        refuse(error.what());
      }
      if (sized.constant().value_or(0) < 0) refuse("is " + sized.str() + " at these sizes");
      dim = sized;
    }
  }
  for (Node& node : graph.nodes) {
    if (const char* key = dim_of(node)) {
      node.attributes = node.attributes.with(key, dim_at(node, key).substitute(symbols).str());
    }
    for (Graph& region : node.regions) substitute(region, symbols);
  }
}

}  // namespace

std::set<std::string> symbols_of(const Function& function) {
  std::set<std::string> found;
  collect(function.graph, found);
  return found;
}

Function specialise(Function function, const Symbols& symbols) {
  if (!symbols.empty()) substitute(function.graph, symbols);
  return function;
}

}  // namespace slim
