// Checks a program: order of definitions, attributes, types, regions, assignments.
#include "ir/verify.h"

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string_view>

#include "ir/ops.h"

namespace slim {
namespace {

constexpr size_t kMaxNodes = 1u << 20;

bool is_kind(const Attribute& value, char kind) {
  const bool integer = std::holds_alternative<int64_t>(value);
  const bool number = std::holds_alternative<double>(value);
  const bool flag = std::holds_alternative<bool>(value);
  const bool integers = std::holds_alternative<std::vector<int64_t>>(value);
  switch (kind) {
    case 'i':
      return integer;
    case 'f':
      return number;
    case 'b':
      return flag;
    case 's':
      return std::holds_alternative<std::string>(value);
    case 'v':
      return integer || number || flag;
    case 'I':
      return integers;
    default:
      return integers || std::holds_alternative<std::vector<double>>(value);
  }
}

const char* kind_name(char kind) {
  switch (kind) {
    case 'i':
      return "an integer";
    case 'f':
      return "a float";
    case 'b':
      return "true or false";
    case 's':
      return "a string";
    case 'v':
      return "a number, true or false";
    case 'I':
      return "a list of integers";
    default:
      return "a list of numbers";
  }
}

// Against a row's "key:kind other?:kind".
void check_attributes(const OpRow& row, const NodeView& v) {
  size_t known = 0;
  std::string allowed, key;
  for (std::string_view spec(row.attributes); !spec.empty();) {
    const std::string_view item = spec.substr(0, spec.find(' '));
    spec.remove_prefix(std::min(item.size() + 1, spec.size()));
    const char kind = item.back();
    key.assign(item.substr(0, item.size() - 2));
    const bool optional = key.back() == '?';
    if (optional) key.pop_back();
    allowed += (allowed.empty() ? "" : ", ") + key;
    const auto found = v.node.attributes.find(key);
    if (found == v.node.attributes.end()) {
      if (!optional) v.refuse("needs the attribute " + key);
      continue;
    }
    ++known;
    if (!is_kind(found->second, kind)) {
      v.refuse("the attribute " + key + " must be " + kind_name(kind));
    }
  }
  if (known == v.node.attributes.size()) return;
  v.refuse("has an attribute that is not known here; it takes " +
           (allowed.empty() ? "none" : allowed));
}

void check_graph(const Graph& graph, size_t defined);

// A tape knows elementwise ops and little else; the regions of other ops hold any but sources.
void check_region(const OpRow& row, const NodeView& outer, const Graph& region) {
  for (const Node& node : region.nodes) {
    const NodeView v{region, node};
    const OpRow* inner = find_op(node.op);
    if (inner == nullptr) v.refuse("there is no such op");
    if (inner->has(kSource) || (row.has(kTapeRegion) && !fits_tape(node))) {
      v.refuse("cannot stand in a region of " + outer.node.op);
    }
  }
  check_graph(region, 0);
}

// Only ops that know other storages than the dense one may meet them.
void check_storage(const OpRow& row, const NodeView& v) {
  if (row.has(kSparse)) return;
  for (const std::vector<ValueId>* list : {&v.node.operands, &v.node.results}) {
    for (ValueId id : *list) {
      const Value& value = v.graph.values[id];
      if (is_dense(value.type)) continue;
      v.refuse('%' + value.name + " is " + to_string(value.type) +
               ": only fully_connected and ops.csr_matmul take sparse rows; densify X, or make "
               "it the first layer");
    }
  }
}

void check_node(const Graph& graph, const Node& node) {
  const NodeView v{graph, node};
  const OpRow* row = find_op(node.op);
  if (row == nullptr) v.refuse("there is no such op");
  const size_t count = node.operands.size();
  if (count < row->least_operands || count > row->most_operands) {
    v.refuse("takes " + std::to_string(row->least_operands) +
             (row->most_operands > row->least_operands ? " or more" : "") + " operands, got " +
             std::to_string(count));
  }
  if (node.regions.size() > row->most_regions) {
    v.refuse("takes " + (row->most_regions == 0 ? "no" : std::to_string(row->most_regions)) +
             " region, got " + std::to_string(node.regions.size()));
  }
  const bool yields = row->results == kMany && row->most_regions > 0;
  const size_t results = yields && node.regions.empty() ? 1 : row->results;
  if (results != kMany && node.results.size() != results) {
    v.refuse("has " + std::to_string(results) + (results == 1 ? " result" : " results") + ", got " +
             std::to_string(node.results.size()));
  }
  check_attributes(*row, v);
  check_storage(*row, v);
  for (const Graph& region : node.regions) check_region(*row, v, region);
  row->check(*row, v);
}

// What a node reads is on its own device, unless it is a copy or it reads what is everywhere.
void check_device(const NodeView& v, const std::vector<int>& producer) {
  const auto device = [&](ValueId id) { return v.graph.values[id].device; };
  const auto told = [](const std::string& one) { return one.empty() ? "no device" : '@' + one; };
  const std::string own = device(v.node.results[0]);
  for (const ValueId id : v.node.results) {
    if (device(id) != own) v.refuse("the results of one op stand on one device");
  }
  if (v.node.op == "copy" || is_anywhere(v.node)) return;
  for (const ValueId id : v.node.operands) {
    if (producer[id] < 0 || is_anywhere(v.graph.nodes[producer[id]]) || device(id) == own) continue;
    v.refuse("is on " + told(own) + " and reads %" + v.graph.values[id].name + ", which is on " +
             told(device(id)) + ": put a copy between");
  }
}

void check_graph(const Graph& graph, size_t defined) {
  if (graph.nodes.size() > kMaxNodes) {
    throw std::invalid_argument("a function of more than 1048576 statements");
  }
  std::vector<bool> known(graph.values.size(), false);
  std::fill(known.begin(), known.begin() + static_cast<int64_t>(defined), true);
  for (ValueId id : graph.parameters) known[id] = true;
  const bool placed = std::any_of(graph.values.begin(), graph.values.end(),
                                  [](const Value& value) { return !value.device.empty(); });
  std::vector<int> producer(placed ? graph.values.size() : 0, -1);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const NodeView v{graph, node};
    for (ValueId id : node.operands) {
      if (!known[id]) v.refuse("reads %" + graph.values[id].name + " before it is computed");
    }
    check_node(graph, node);
    if (placed) check_device(v, producer);
    for (ValueId id : node.results) {
      if (placed) producer[id] = static_cast<int>(i);
      if (known[id]) v.refuse("computes %" + graph.values[id].name + " a second time");
      known[id] = true;
    }
  }
  for (ValueId id : graph.returns) {
    const Value& value = graph.values[id];
    if (!known[id]) throw std::invalid_argument("%" + value.name + " is never computed");
    if (is_dense(value.type)) continue;
    throw std::invalid_argument("%" + value.name + " is " + to_string(value.type) +
                                ": what a function returns is dense");
  }
}

void check_assignments(const Function& f, const Program& program,
                       const std::vector<Assignment>& list, const char* word,
                       const std::set<DeclarationKind>& allowed) {
  std::set<int32_t> seen;
  for (const Assignment& a : list) {
    const Declaration& d = program.declarations[a.declaration];
    const Value& value = f.graph.values[a.value];
    const std::string where = std::string("[") + word + ' ' + d.name + "] ";
    if (allowed.count(d.kind) == 0) {
      throw std::invalid_argument(where + "func " + f.name + " cannot " + word +
                                  " this kind of declaration");
    }
    // A gradient may be rows: the trainer updates these alone.
    Type given = value.type;
    if (f.name == "grad" && given.storage == Storage::rows) given.storage = Storage::dense;
    if (given != d.type || (d.kind != DeclarationKind::param && !is_dense(value.type))) {
      throw std::invalid_argument(where + "needs " + to_string(d.type) + ", %" + value.name +
                                  " is " + to_string(value.type));
    }
    if (!seen.insert(a.declaration).second) {
      throw std::invalid_argument(where + "stands twice in func " + f.name);
    }
  }
}

void check_declarations(const Program& program) {
  const Declaration* first = nullptr;
  for (const Declaration& d : program.declarations) {
    const std::string where = "[" + d.name + "] ";
    if (!is_dense(d.type)) {
      throw std::invalid_argument(where + "is dense, declared as " + to_string(d.type));
    }
    if (d.kind == DeclarationKind::hyper) {
      if (d.type == Type{DType::f64, {}}) continue;
      throw std::invalid_argument(where + "a hyper is f64[], declared as " + to_string(d.type));
    }
    if (d.type.dtype != DType::f32 && d.type.dtype != DType::f64) {
      throw std::invalid_argument(where + "needs f32 or f64, declared as " + to_string(d.type));
    }
    if (first != nullptr && first->type.dtype != d.type.dtype) {
      throw std::invalid_argument(
          where + "all param, state and slot have one precision: " + first->name + " is " +
          to_string(first->type) + ", this is " + to_string(d.type));
    }
    first = first == nullptr ? &d : first;
    if (d.kind == DeclarationKind::slot) {
      if (d.type.dims == std::vector<Dim>{Dim::symbol("P")}) continue;
      throw std::invalid_argument(where + "a slot is a list of P numbers, declared as " +
                                  to_string(d.type));
    }
    for (const Dim& dim : d.type.dims) {
      if (!dim.constant()) {
        throw std::invalid_argument(where + "needs a fixed shape, declared as " +
                                    to_string(d.type));
      }
    }
  }
}

}  // namespace

std::string update_name(int64_t index) {
  return index == 0 ? "update" : "update." + std::to_string(index + 1);
}

bool is_update(const std::string& function) {
  return function == "update" || function.rfind("update.", 0) == 0;
}

void verify(const Function& f, const Program& program) {
  check_graph(f.graph, program.declarations.size());
  using Kind = DeclarationKind;
  const std::set<Kind> settable = f.name == "init"    ? std::set<Kind>{Kind::param, Kind::state}
                                  : f.name == "grad"  ? std::set<Kind>{Kind::state}
                                  : is_update(f.name) ? std::set<Kind>{Kind::slot}
                                                      : std::set<Kind>{};
  check_assignments(f, program, f.sets, "set", settable);
  check_assignments(f, program, f.grads, "grad",
                    f.name == "grad" ? std::set<Kind>{Kind::param} : std::set<Kind>{});
}

void verify(const Program& program) {
  check_declarations(program);
  for (const Function& f : program.functions) verify(f, program);
}

}  // namespace slim
