// Binds what tests and tools look at: the text, the passes, the memory plan, printed source.
#include <pybind11/stl.h>

#include <cctype>
#include <set>

#include "api/api.h"
#include "ir/ops.h"
#include "ir/row_rules.h"
#include "ir/specialise.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "kernels/source.h"
#include "passes/memory.h"
#include "passes/passes.h"
#include "passes/units.h"

namespace slim {
namespace {

namespace py = pybind11;

Function& function_of(Program& program, const std::string& name) {
  for (Function& function : program.functions) {
    if (function.name == name) return function;
  }
  throw std::invalid_argument("the program has no function " + name);
}

Program checked(const std::string& text) {
  Program program = parse(text);
  verify(program);
  return program;
}

// The program's text after one pass, or the whole pipeline, over one function.
std::string after_pass(const std::string& text, const std::string& name, const std::string& pass) {
  Program program = checked(text);
  Function& function = function_of(program, name);
  run_pass(function, program, pass, Accepts());
  verify(function, program);
  return print(program);
}

// Printed source, whose regions are loops over elements.
struct AcceptsNoSums : Accepts {
  bool accepts_reduction(const Graph&, const Node&) const override { return false; }
};

const Accepts& accepted(bool fixed) {
  static const Accepts all;
  static const AcceptsNoSums elements;
  return fixed ? elements : all;
}

// As a device may run it, or as parts of a file of C do.
std::string optimized(const std::string& text, const std::string& name, bool fixed) {
  Program program = checked(text);
  optimize(function_of(program, name), program, accepted(fixed));
  return print(program);
}

std::string specialised(const std::string& text, const std::string& name, const Symbols& symbols) {
  Program program = checked(text);
  Function& function = function_of(program, name);
  function = specialise(std::move(function), symbols);
  verify(function, program);
  return print(program);
}

// {"scratch_bytes", "places": {value: (arena, offset)}, "row_strides": {value: elements} where
// rows lie apart, "copies", "regions": of the nodes that have some, by the name of the first
// result}
py::dict facts_of(const MemoryPlan& plan, const Graph& graph) {
  const auto name = [&](ValueId id) { return py::str(graph.values[static_cast<size_t>(id)].name); };
  py::dict places, row_strides, regions, facts;
  for (size_t i = 0; i < plan.places.size(); ++i) {
    const Place& place = plan.places[i];
    places[name(static_cast<ValueId>(i))] = py::make_tuple(place.arena, place.offset);
    if (place.row_stride > 0) row_strides[name(static_cast<ValueId>(i))] = place.row_stride;
  }
  py::list copies;
  for (const MemoryPlan::Copy& copy : plan.copies) {
    copies.append(py::make_tuple(name(copy.value), copy.to.arena, copy.to.offset));
  }
  for (size_t i = 0; i < plan.regions.size(); ++i) {
    const Node& node = graph.nodes[i];
    py::list list;
    for (size_t k = 0; k < plan.regions[i].size(); ++k) {
      list.append(facts_of(plan.regions[i][k], node.regions[k]));
    }
    if (!list.empty()) regions[name(node.results[0])] = list;
  }
  facts["scratch_bytes"] = plan.scratch_bytes;
  facts["places"] = places;
  facts["row_strides"] = row_strides;
  facts["copies"] = copies;
  facts["regions"] = regions;
  return facts;
}

// With declarations fixed in arena 1 and on, one each, and sets and grads wanted there.
MemoryPlan planned(const Program& program, Function& function,
                   const std::map<std::string, int64_t>& symbols) {
  MemoryRequest request;
  request.symbols = symbols;
  for (size_t i = 0; i < program.declarations.size(); ++i) {
    request.fixed[static_cast<ValueId>(i)] = {static_cast<int>(i) + 1, 0};
  }
  for (const Assignment& set : function.sets) {
    request.wanted.push_back({set.value, {set.declaration + 1, 0}});
  }
  const int gradients = static_cast<int>(program.declarations.size()) + 1;
  for (const Assignment& grad : function.grads) {
    request.wanted.push_back({grad.value, {gradients + grad.declaration, 0}});
  }
  return plan_memory(function, request);
}

// Of a function as it stands.
py::dict memory(const std::string& text, const std::string& name,
                const std::map<std::string, int64_t>& symbols) {
  Program program = checked(text);
  Function& function = function_of(program, name);
  return facts_of(planned(program, function, symbols), function.graph);
}

// What passes and planner look at, whatever the machine: {"joins": neighbours in the searches
// of fusion, "packing": stretches of memory that are compared}.
py::dict work(const std::string& text, const std::string& name,
              const std::map<std::string, int64_t>& symbols) {
  Program program = checked(text);
  Function& function = function_of(program, name);
  const int64_t before = Units::visits();
  optimize(function, program, Accepts());
  py::dict facts;
  facts["joins"] = Units::visits() - before;
  facts["packing"] = planned(program, function, symbols).looked;
  return facts;
}

// What a tape reads or gives: (value, type, row stride or 0).
py::list arguments_of(const Graph& graph, const std::vector<ValueId>& ids,
                      const std::vector<Buffer>& buffers) {
  py::list list;
  for (size_t i = 0; i < buffers.size(); ++i) {
    const Value& value = graph.values[static_cast<size_t>(ids[i])];
    list.append(py::make_tuple(value.name, to_string(value.type), buffers[i].row_stride));
  }
  return list;
}

// Whether a node runs as a tape, or ends in one.
bool has_tape(const Node& node) {
  const OpRow& row = op_row(node);
  if (row.has(kTapeRegion)) return !node.regions.empty();
  return row.has(kElementwise) && !row.has(kAlias);
}

// An identifier for what a value's node computes, which none of `used` is.
std::string identifier_of(const std::string& prefix, const std::string& value,
                          std::set<std::string>& used) {
  std::string name = prefix + '_' + value;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  std::string free = name;
  for (int i = 1; !used.insert(free).second; ++i) free = name + '_' + std::to_string(i);
  return free;
}

// Adds the tapes of a function, as optimized, to a file. `tell(kernel, op, operands, results)`:
// of each; `refused(kernel, why)`: of those that cannot be printed. `used`: they are called as
// what they compute, and rows of theirs lie one behind the other.
template <class Tell, class Refuse>
void add_tapes(SourceFile& file, const std::string& prefix, const Program& program,
               Function& function, std::set<std::string>* used, Tell tell, Refuse refused) {
  optimize(function, program, accepted(used != nullptr));
  const std::string symbol = symbols_of(function).count("P") > 0 ? "P" : "B";
  const Symbols symbols = {{symbol, 1}};
  const MemoryPlan plan = planned(program, function, symbols);
  const Graph& graph = function.graph;
  const auto buffers = [&](const std::vector<ValueId>& ids) {
    std::vector<Buffer> all;
    for (const ValueId id : ids) {
      const Type& type = graph.values[static_cast<size_t>(id)].type;
      Buffer buffer;
      buffer.dtype = type.dtype;
      if (used == nullptr) buffer.row_stride = plan.places[static_cast<size_t>(id)].row_stride;
      for (const Dim& dim : type.dims) buffer.dims.push_back(dim.evaluate(symbols));
      if (!type.dims.empty()) buffer.per_row = type.dims[0].multiple_of(symbol).value_or(0);
      all.push_back(std::move(buffer));
    }
    return all;
  };
  int count = 0;
  for (const Node& node : graph.nodes) {
    if (!has_tape(node)) continue;
    const Binding binding{graph, node, buffers(node.operands), buffers(node.results)};
    const bool epilogue = op_row(node).has(kEpilogue);
    const auto operands = epilogue ? epilogue_operands(binding) : binding.operands;
    const std::string& result = graph.values[static_cast<size_t>(node.results[0])].name;
    const std::string kernel = used != nullptr ? identifier_of(prefix, result, *used)
                                               : prefix + '_' + std::to_string(count++);
    try {
      const Graph region = node.regions.empty() ? region_of(graph, node) : node.regions[0];
      const SpaceSplit split = epilogue ? SpaceSplit::last_axis : SpaceSplit::best;
      file.add(kernel, binding, build_tape(binding, region, operands, binding.results, split),
               operands);
    } catch (const std::invalid_argument& error) {
      refused(kernel, error.what());
      continue;
    }
    std::vector<ValueId> ids = node.operands;
    if (epilogue) {  // the product bears its result's name
      ids.erase(ids.begin(), ids.begin() + static_cast<int64_t>(op_row(node).least_operands));
      ids.insert(ids.begin(), node.results[0]);
    }
    tell(kernel, node.op, arguments_of(graph, ids, operands),
         arguments_of(graph, node.results, binding.results));
  }
}

// A file of all tapes of some functions, (program text, function, prefix) each, as optimized:
// {"text", "kernels": [{"name": prefix_i, "prefix", "op", "operands", "results"}], "refused":
// {name: why}}.
// Nodes that are no tapes, and those in regions of any ops, are left out. `fixed`: of C functions
// all of whose sizes are numbers, as SourceFile::Entry has it.
py::dict source(const std::vector<std::tuple<std::string, std::string, std::string>>& functions,
                const std::string& dialect, bool fixed) {
  if (dialect != "c" && dialect != "cuda") {
    throw std::invalid_argument("the dialects of source are c and cuda, not " + dialect);
  }
  SourceFile file(dialect == "c" ? Dialect::c : Dialect::cuda,
                  fixed ? SourceFile::Entry::fixed : SourceFile::Entry::kernel);
  std::set<std::string> used;
  py::list kernels;
  py::dict refused;
  for (const auto& [text, name, prefix] : functions) {
    Program program = checked(text);
    add_tapes(
        file, prefix, program, function_of(program, name), fixed ? &used : nullptr,
        [&, &prefix = prefix](const std::string& kernel, const std::string& op, py::list operands,
                              py::list results) {
          py::dict facts;
          facts["prefix"] = prefix;
          facts["name"] = kernel;
          facts["op"] = op;
          facts["operands"] = operands;
          facts["results"] = results;
          kernels.append(facts);
        },
        [&](const std::string& kernel, const char* why) { refused[py::str(kernel)] = why; });
  }
  py::dict made;
  made["text"] = file.text();
  made["kernels"] = kernels;
  made["refused"] = refused;
  return made;
}

}  // namespace

void bind_tools(py::module_& module) {
  module.def("roundtrip", [](const std::string& text) { return print(parse(text)); });
  module.def("verify", [](const std::string& text) { verify(parse(text)); });
  module.def("run_pass", &after_pass);
  module.def("optimize", &optimized, py::arg("text"), py::arg("name"), py::arg("fixed") = false);
  module.def("specialise", &specialised);
  module.def("memory", &memory);
  module.def("source", &source, py::arg("functions"), py::arg("dialect"), py::arg("fixed") = false);
  module.def("work", &work);
  module.def("mixes_rows", [](const std::string& text, const std::string& name) {
    Program program = checked(text);
    return mixes_rows(function_of(program, name));
  });
}

}  // namespace slim
