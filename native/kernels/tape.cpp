// From an elementwise region to a tape: an instruction a node.
#include "kernels/tape.h"

#include <map>

#include "ir/ops.h"
#include "kernels/convert.h"
#include "kernels/space.h"

namespace slim {

namespace {

class Builder {
 public:
  Builder(const Binding& binding, const Graph& region, const std::vector<Buffer>& operands,
          const std::vector<Buffer>& results, SpaceSplit split)
      : binding_(binding), region_(region), operands_(operands), results_(results), split_(split) {}

  Tape build() {
    SpaceFinder finder(binding_);
    std::vector<const Buffer*> buffers;
    for (const Buffer& buffer : operands_) buffers.push_back(&buffer);
    for (const Buffer& buffer : results_) buffers.push_back(&buffer);
    for (const Buffer* buffer : buffers) finder.add(*buffer);
    tape_.space = finder.split(buffers, split_);
    tape_.axes = finder.axes();
    if (region_.parameters.size() != operands_.size() ||
        region_.returns.size() != results_.size()) {
      binding_.refuse("its region has " + std::to_string(region_.parameters.size()) +
                      " parameters and " + std::to_string(region_.returns.size()) + " yields for " +
                      std::to_string(operands_.size()) + " operands and " +
                      std::to_string(results_.size()) + " results");
    }
    for (size_t i = 0; i < operands_.size(); ++i) add_operand(finder, i);
    for (const Node& node : region_.nodes) add_node(node);
    for (size_t i = 0; i < results_.size(); ++i) add_yield(finder, i);
    return std::move(tape_);
  }

 private:
  int32_t add_register(TapeRegister reg) {
    tape_.registers.push_back(std::move(reg));
    after_sum_.push_back(false);
    return static_cast<int32_t>(tape_.registers.size()) - 1;
  }

  void add_operand(const SpaceFinder& finder, size_t i) {
    TapeRegister reg;
    reg.dtype = operands_[i].dtype;
    reg.source = TapeRegister::Source::operand;
    reg.operand = static_cast<int32_t>(i);
    if (const auto lie = finder.lie(operands_[i])) {
      reg.extent = lie->extent;
      reg.repeat = lie->repeat;
    } else {
      reg.extent = Extent::full;
      reg.strides = finder.strides(operands_[i]);
    }
    of_value_[region_.parameters[i]] = add_register(std::move(reg));
  }

  DType dtype_of(ValueId id) const { return region_.values[id].type.dtype; }

  void add_constant(const Node& node) {
    TapeRegister reg;
    reg.dtype = dtype_of(node.results[0]);
    reg.source = TapeRegister::Source::constant;
    const auto found = node.attributes.find("value");
    if (found == node.attributes.end()) binding_.refuse("a constant in its region has no value");
    if (const auto* number = std::get_if<double>(&found->second)) {
      reg.number = *number;
      reg.integer = whole_number<int64_t>(*number);
    } else if (const auto* integer = std::get_if<int64_t>(&found->second)) {
      reg.number = static_cast<double>(*integer);
      reg.integer = *integer;
    } else if (const auto* flag = std::get_if<bool>(&found->second)) {
      reg.number = reg.integer = *flag;
    } else {
      binding_.refuse("a constant in its region is no number");
    }
    of_value_[node.results[0]] = add_register(std::move(reg));
  }

  void add_extent(const Node& node) {
    const auto found = node.attributes.find("dim");
    const auto* text =
        found == node.attributes.end() ? nullptr : std::get_if<std::string>(&found->second);
    if (text == nullptr) binding_.refuse("an extent in its region has no dim");
    of_value_[node.results[0]] = count_register(Dim::parse(*text), dtype_of(node.results[0]));
  }

  // The number that a dimension is at run time.
  int32_t count_register(const Dim& dim, DType dtype) {
    TapeRegister reg;
    reg.dtype = dtype;
    if (const auto constant = dim.constant()) {
      reg.source = TapeRegister::Source::constant;
      reg.number = static_cast<double>(*constant);
      reg.integer = *constant;
    } else {
      reg.source = TapeRegister::Source::rows;
      auto factor = dim.multiple_of("B");
      if (!factor) factor = dim.multiple_of("P");
      if (!factor) {
        binding_.refuse("its region asks for the extent of " + dim.str() +
                        ": only multiples of the rows can be had there");
      }
      reg.number = static_cast<double>(*factor);
    }
    return add_register(reg);
  }

  void add_sum(const Node& node) {
    const int32_t src = of_value_.at(node.operands[0]);
    TapeRegister reg;
    reg.dtype = dtype_of(node.results[0]);
    const int32_t dst = add_register(reg);
    after_sum_[dst] = true;
    of_value_[node.results[0]] = dst;
    const Type& type = region_.values[node.operands[0]].type;
    const Extent extent = tape_.registers[src].extent;
    if (extent == Extent::scalar && type.dims.size() == 1) {
      // The same number everywhere: as often as there are elements.
      const int32_t count = count_register(type.dims[0], reg.dtype);
      tape_.finale.push_back({Operation::mul, dst, {src, count, -1}});
      return;
    }
    if (extent != Extent::full || !region_.values[node.results[0]].type.dims.empty()) {
      binding_.refuse("a reduce_sum in its region must sum all elements of a whole value");
    }
    tape_.sums.push_back({dst, src});
  }

  void add_node(const Node& node) {
    if (node.results.size() != 1) binding_.refuse(node.op + " in its region must have one result");
    if (node.op == "constant") return add_constant(node);
    if (node.op == "extent") return add_extent(node);
    if (node.op == "reduce_sum") return add_sum(node);
    if (node.op == "broadcast") {  // a register serves wherever it is read
      of_value_[node.results[0]] = of_value_.at(node.operands[0]);
      return;
    }
    const auto op = find_operation(node.op);
    if (!op || node.operands.empty() || node.operands.size() > 3) {
      binding_.refuse(node.op + " cannot stand in an elementwise region");
    }
    Instruction instruction{*op, -1, {-1, -1, -1}};
    TapeRegister reg;
    reg.dtype = computed_in(dtype_of(node.results[0]));
    bool after = false;
    for (size_t i = 0; i < node.operands.size(); ++i) {
      const auto found = of_value_.find(node.operands[i]);
      if (found == of_value_.end())
        binding_.refuse(node.op + " in its region reads a value before it is computed");
      instruction.src[i] = found->second;
      reg.extent = reg.extent | tape_.registers[found->second].extent;
      after = after || after_sum_[found->second];
    }
    if (after && reg.extent != Extent::scalar) {
      binding_.refuse(node.op + " in its region reads a sum over the elements it belongs to");
    }
    const Extent extent = reg.extent;
    instruction.dst = add_register(std::move(reg));
    after_sum_[instruction.dst] = after;
    (after ? tape_.finale : tape_.code[static_cast<int>(extent)]).push_back(instruction);
    of_value_[node.results[0]] = instruction.dst;
  }

  void add_yield(const SpaceFinder& finder, size_t i) {
    const auto found = of_value_.find(region_.returns[i]);
    if (found == of_value_.end())
      binding_.refuse("its region yields a value that it does not compute");
    const TapeRegister& reg = tape_.registers[found->second];
    const auto lie = finder.lie(results_[i]);
    if (!lie || lie->repeat > 1 || (lie->extent | reg.extent) != lie->extent ||
        reg.dtype != computed_in(results_[i].dtype)) {
      binding_.refuse("result " + std::to_string(i + 1) + " does not have its yield's type");
    }
    tape_.yields.push_back(found->second);
    tape_.yield_extents.push_back(lie->extent);
  }

  const Binding& binding_;
  const Graph& region_;
  const std::vector<Buffer>& operands_;
  const std::vector<Buffer>& results_;
  SpaceSplit split_;
  Tape tape_;
  std::map<ValueId, int32_t> of_value_;
  std::vector<bool> after_sum_;
};

}  // namespace

std::optional<Operation> find_operation(const std::string& op) {
  static const auto& operations = *new std::map<std::string, Operation>{
  // never ends: a thread may outlive it at exit
#define FORMULA(name, operands, types, result, cost) {#name, Operation::name},
#define SPECIAL(name, operands, type_rule, row_rule) {#name, Operation::name},
#define COPY(name) {#name, Operation::copy},
#include "ir/elementwise.def"
  };
  const auto found = operations.find(op);
  if (found == operations.end()) return std::nullopt;
  return found->second;
}

double flops_of(Operation op) {
  constexpr double light = 1, division = 5, series = 20, library = 100;
  switch (op) {
#define FORMULA(name, operands, types, result, cost) \
  case Operation::name:                              \
    return cost;
#include "ir/elementwise.def"
    default:
      return light;
  }
}

Tape build_tape(const Binding& binding, const Graph& region, const std::vector<Buffer>& operands,
                const std::vector<Buffer>& results, SpaceSplit split) {
  return Builder(binding, region, operands, results, split).build();
}

std::vector<Buffer> epilogue_operands(const Binding& binding) {
  std::vector<Buffer> operands = {binding.results[0]};
  operands[0].row_stride = 0;
  const Graph& region = binding.node.regions[0];
  operands[0].dtype = region.values[static_cast<size_t>(region.parameters[0])].type.dtype;
  const auto own = static_cast<std::ptrdiff_t>(op_row(binding.node).least_operands);
  operands.insert(operands.end(), binding.operands.begin() + own, binding.operands.end());
  return operands;
}

Graph region_of(const Graph& graph, const Node& node) {
  Graph region;
  Node inner{node.op, {}, {}, node.attributes, {}};
  for (const ValueId id : node.operands) {
    inner.operands.push_back(region.add_value(graph.values[id].name, graph.values[id].type));
  }
  region.parameters = inner.operands;
  for (const ValueId id : node.results) {
    inner.results.push_back(region.add_value(graph.values[id].name, graph.values[id].type));
  }
  region.returns = inner.results;
  region.nodes.push_back(std::move(inner));
  return region;
}

}  // namespace slim
