// Finds each input's source by name and checks its rows.
#include "runtime/data/bind.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "ir/ops.h"

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

bool has_rows(const Graph& graph, ValueId value) {
  const auto& dims = graph.values[static_cast<size_t>(value)].type.dims;
  return std::any_of(dims.begin(), dims.end(), [](const Dim& dim) { return dim.mentions("B"); });
}

bool reads_rows(const Graph& graph, const Node& node) {
  return node.op == "input" && has_rows(graph, node.results[0]);
}

}  // namespace

std::vector<Gather> bind_sources(const Plan& plan, const std::vector<Source>& sources,
                                 const std::vector<uint32_t>& index) {
  const int64_t needed =
      index.empty() ? 0 : int64_t{*std::max_element(index.begin(), index.end())} + 1;
  std::vector<Gather> gathers;
  for (const InputSlot& slot : plan.inputs()) {
    const Source& source = source_of(slot, sources);
    if (source.resident && !plan.device().holds(source.data)) {
      throw std::invalid_argument("[input " + slot.name + "] source " + slot.source +
                                  " does not lie in the memory of " + plan.device().name() +
                                  ": give it as a NumPy array");
    }
    gathers.emplace_back(slot, source);
    if (slot.by_row && gathers.back().source_rows() < needed) {
      throw std::invalid_argument("[input " + slot.name + "] source " + slot.source + " has " +
                                  std::to_string(gathers.back().source_rows()) +
                                  " rows, the index asks for row " + std::to_string(needed - 1));
    }
  }
  return gathers;
}

Symbols bind_symbols(const Function& function, const std::set<std::string>& open,
                     const std::vector<Source>& sources) {
  Symbols sizes;
  if (open.empty()) return sizes;
  std::map<std::string, std::string> told;  // by symbol: the input that told its size
  for (const Node& node : function.graph.nodes) {
    if (node.op != "input") continue;
    const Value& value = function.graph.values[static_cast<size_t>(node.results[0])];
    const auto& name = std::get<std::string>(node.attributes.at("source"));
    const auto source = std::find_if(sources.begin(), sources.end(),
                                     [&](const Source& given) { return given.name == name; });
    const std::vector<Dim>& dims = value.type.dims;
    // What is missing or has another rank is refused where it is bound.
    if (source == sources.end() || source->shape.size() != dims.size()) continue;
    for (size_t i = 0; i < dims.size(); ++i) {
      for (const std::string& symbol : open) {
        const auto factor = dims[i].multiple_of(symbol);
        if (!factor || source->shape[i] % *factor != 0) continue;
        const int64_t size = source->shape[i] / *factor;
        const auto [known, is_new] = sizes.emplace(symbol, size);
        if (is_new) told[symbol] = value.name;
        if (known->second == size) continue;
        throw std::invalid_argument("[input " + value.name + "] " + symbol + " is " +
                                    std::to_string(size) + " in source " + name + ", but " +
                                    std::to_string(known->second) + " in input " + told[symbol]);
      }
    }
  }
  for (const std::string& symbol : open) {
    if (sizes.count(symbol) > 0) continue;
    throw std::invalid_argument("the size of " + symbol + " is unknown in func " + function.name +
                                ": no input of it has " + symbol + " as a dimension of its own");
  }
  return sizes;
}

void check_lengths(const std::vector<Source>& sources, const std::vector<uint32_t>& index) {
  for (const Source& source : sources) {
    if (!source.ragged) continue;
    const auto check = [&](int64_t row) {
      if (source.ragged->length(row) <= source.shape[1]) return;
      throw std::invalid_argument("source " + source.name + ": row " + std::to_string(row) +
                                  " has " + std::to_string(source.ragged->length(row)) +
                                  " steps, a batch has " + std::to_string(source.shape[1]));
    };
    // A row that is not there is refused where the source is bound.
    for (const uint32_t row : index) {
      if (row < source.shape[0]) check(row);
    }
    for (int64_t row = 0; index.empty() && row < source.shape[0]; ++row) check(row);
  }
}

int64_t common_rows(const Function& function, const std::vector<Source>& sources) {
  std::vector<const Source*> read;
  for (const Node& node : function.graph.nodes) {
    if (!reads_rows(function.graph, node)) continue;
    const auto& name = std::get<std::string>(node.attributes.at("source"));
    // One that is missing is refused by bind_sources, which can say where it is needed.
    for (const Source& source : sources) {
      if (source.name == name) read.push_back(&source);
    }
  }
  if (read.empty() && lacks_rows(function)) {
    for (const Source& source : sources) {
      if (!source.shape.empty()) read.push_back(&source);
    }
  }
  int64_t rows = -1;
  for (const Source* source : read) {
    const int64_t own = source->shape.empty() ? 0 : source->shape[0];
    if (rows >= 0 && own != rows) {
      throw std::invalid_argument("sources differ in rows: " + read[0]->name + " has " +
                                  std::to_string(rows) + ", " + source->name + " has " +
                                  std::to_string(own));
    }
    rows = own;
  }
  return rows;
}

bool lacks_rows(const Function& function) {
  bool needed = false, read = false;
  walk(function.graph, [&](const Graph& graph, const Node& node) {
    read = read || reads_rows(graph, node);
    for (const ValueId result : node.results) needed = needed || has_rows(graph, result);
    if (node.op == "extent") {
      const auto& dim = std::get<std::string>(node.attributes.at("dim"));
      needed = needed || Dim::parse(dim).mentions("B");
    }
  });
  return needed && !read;
}

int64_t rows_of_call(const Function& function, const std::vector<Source>& sources, int64_t batch) {
  const int64_t given = common_rows(function, sources);
  if (given > int64_t{UINT32_MAX}) throw std::invalid_argument("more than 4294967295 rows");
  if (given >= 0) return given;
  if (batch <= 0 && lacks_rows(function)) {
    throw std::invalid_argument("[" + function.name +
                                "] has rows, but reads no source: give any source or a batch, so "
                                "that their number is known");
  }
  return std::max<int64_t>(batch, 1);
}

std::vector<uint32_t> all_rows(const Function& function, const std::vector<Source>& sources) {
  const int64_t rows = common_rows(function, sources);
  if (rows < 0) throw std::invalid_argument("training needs a source that has rows: none is given");
  if (rows > int64_t{UINT32_MAX}) throw std::invalid_argument("more than 4294967295 rows");
  std::vector<uint32_t> all(static_cast<size_t>(rows));
  std::iota(all.begin(), all.end(), 0u);
  return all;
}

}  // namespace slim
