// Reads the region of a fused node line by line, as layers and their gradients write it.
#include "kernels/gates.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "kernels/tape.h"

namespace slim {
namespace {

// A node of a region, its values called by letters.
struct GateLine {
  char op[9];
  char result, a, b;
};

// i f g o are what the gates are made of, I F G O they themselves, c and C the state before and
// after, T its tanh, h the output. Other letters stand for what lies between.
constexpr GateLine kStep[] = {
    {"sigmoid", 'I', 'i', ' '}, {"tanh", 'G', 'g', ' '}, {"mul", 'n', 'I', 'G'},
    {"sigmoid", 'F', 'f', ' '}, {"mul", 'k', 'F', 'c'},  {"add", 'C', 'k', 'n'},
    {"sigmoid", 'O', 'o', ' '}, {"tanh", 'T', 'C', ' '}, {"mul", 'h', 'O', 'T'},
};

// s is the output's slope, of p, which the next step hands back, and y from outside; d and D are
// those of the state after and before, and i f g o now slopes.
constexpr GateLine kBack[] = {
    {"add", 's', 'p', 'y'},    {"mul", 'q', 's', 'T'},      {"mul", 'r', 's', 'O'},
    {"square", 't', 'T', ' '}, {"constant", '1', ' ', ' '}, {"sub", 'u', '1', 't'},
    {"mul", 'v', 'r', 'u'},    {"add", 'e', 'd', 'v'},      {"sub", 'w', '1', 'O'},
    {"mul", 'x', 'O', 'w'},    {"mul", 'o', 'q', 'x'},      {"mul", 'a', 'e', 'c'},
    {"mul", 'D', 'e', 'F'},    {"sub", 'b', '1', 'F'},      {"mul", 'j', 'F', 'b'},
    {"mul", 'f', 'a', 'j'},    {"mul", 'k', 'e', 'G'},      {"mul", 'l', 'e', 'I'},
    {"square", 'm', 'G', ' '}, {"sub", 'n', '1', 'm'},      {"mul", 'g', 'l', 'n'},
    {"sub", 'z', '1', 'I'},    {"mul", 'A', 'I', 'z'},      {"mul", 'i', 'k', 'A'},
};

class GateReader {
 public:
  explicit GateReader(const Binding& binding)
      : binding_(binding), region_(binding.node.regions[0]) {
    value_.fill(-1);
  }

  bool read(const GateLine* line, const GateLine* end) {
    if (region_.nodes.size() != static_cast<size_t>(end - line)) return false;
    for (const Node& node : region_.nodes) {
      if (node.op != line->op || !reads(node, *line)) return false;
      of(line->result) = node.results[0];
      ++line;
    }
    return true;
  }

  Gates found(bool back, const char* letters) {
    Gates gates;
    gates.back = back;
    for (size_t i = 0; letters[i] != 0; ++i) {
      if (const Buffer* buffer = buffer_of(of(letters[i]))) {
        gates.values[i] = {buffer->base, buffer->offset, buffer->row(), true};
      }
    }
    for (const Node& node : region_.nodes) {
      if (const auto operation = find_operation(node.op)) gates.flops += flops_of(*operation);
    }
    return gates;
  }

  bool leaves(char letter) { return result_of(of(letter)) != nullptr; }

 private:
  ValueId& of(char letter) { return value_[static_cast<size_t>(letter)]; }

  bool is_operand(ValueId id) const {
    return std::find(region_.parameters.begin(), region_.parameters.end(), id) !=
           region_.parameters.end();
  }

  bool reads(const Node& node, const GateLine& line) {
    if (line.a == ' ') {
      const double* number = std::get_if<double>(&node.attributes.at("value"));
      return number != nullptr && *number == 1;
    }
    const char letters[] = {line.a, line.b};
    for (size_t i = 0; i < node.operands.size(); ++i) {
      ValueId& value = of(letters[i]);
      if (value == -1 && is_operand(node.operands[i])) value = node.operands[i];
      if (value != node.operands[i]) return false;
    }
    return true;
  }

  const Buffer* result_of(ValueId id) const {
    const auto at = std::find(region_.returns.begin(), region_.returns.end(), id);
    return at == region_.returns.end() ? nullptr : &binding_.results[at - region_.returns.begin()];
  }
  const Buffer* buffer_of(ValueId id) const {
    const auto& operands = region_.parameters;
    const auto at = std::find(operands.begin(), operands.end(), id);
    return at == operands.end() ? result_of(id) : &binding_.operands[at - operands.begin()];
  }

  const Binding& binding_;
  const Graph& region_;
  std::array<ValueId, 128> value_;  // by letter
};

bool are_alike_rows(const Binding& binding) {
  const Buffer& one = binding.results[0];
  const auto alike = [&](const Buffer& buffer) {
    return buffer.dtype == DType::f32 && buffer.storage == Storage::dense &&
           buffer.dims == one.dims && buffer.per_row == one.per_row;
  };
  return one.dims.size() >= 2 &&
         std::all_of(binding.operands.begin(), binding.operands.end(), alike) &&
         std::all_of(binding.results.begin(), binding.results.end(), alike);
}

}  // namespace

std::optional<Gates> find_gates(const Binding& binding) {
  if (!are_alike_rows(binding)) return std::nullopt;
  GateReader step(binding);
  if (step.read(std::begin(kStep), std::end(kStep)) && step.leaves('C') && step.leaves('h')) {
    return step.found(false, Gates::kStep);
  }
  for (const int first : {0, 1}) {  // without y, s is what the next step hands back
    GateReader back(binding);
    if (back.read(std::begin(kBack) + first, std::end(kBack))) {
      return back.found(true, Gates::kBack);
    }
  }
  return std::nullopt;
}

}  // namespace slim
