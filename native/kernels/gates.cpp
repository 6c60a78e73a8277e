// Reads the region of a fused node line by line, as layers and their gradients write it.
#include "kernels/gates.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

#include "kernels/tape.h"

namespace slim {
namespace {

// A node of a region, its values called by letters; those of constants are the numbers.
struct GateLine {
  char op[9];
  char result, a = 0, b = 0, c = 0;
};
using Lines = std::span<const GateLine>;

// i f g o are what the gates are made of, I F G O they themselves, c and C the state before and
// after, T its tanh, p and h the output before and after. Other letters stand for what lies
// between.
constexpr GateLine kLstm[] = {
    {"sigmoid", 'I', 'i'}, {"tanh", 'G', 'g'},     {"mul", 'n', 'I', 'G'},
    {"sigmoid", 'F', 'f'}, {"mul", 'k', 'F', 'c'}, {"add", 'C', 'k', 'n'},
    {"sigmoid", 'O', 'o'}, {"tanh", 'T', 'C'},     {"mul", 'h', 'O', 'T'},
};
// Of each gate what the input, x X w, and the state, a b q, are for it.
constexpr GateLine kGru[] = {
    {"add", 'A', 'x', 'a'}, {"sigmoid", 'z', 'A'},  {"add", 'B', 'X', 'b'}, {"sigmoid", 'r', 'B'},
    {"mul", 't', 'r', 'q'}, {"add", 'v', 'w', 't'}, {"tanh", 'n', 'v'},     {"sub", 'd', 'p', 'n'},
    {"mul", 'e', 'z', 'd'}, {"add", 'h', 'n', 'e'},
};
// What a mask m leaves of a step.
constexpr GateLine kRestOutput[] = {{"select", 'H', 'm', 'h', 'p'}};
constexpr GateLine kRestState[] = {{"select", 'D', 'm', 'C', 'c'}};
constexpr GateLine kShown[] = {{"constant", '0'}, {"select", 'Y', 'm', 'h', '0'}};

// On the way back s is the output's slope: of p, which the next step hands back, and y from
// outside.
constexpr GateLine kSum[] = {{"add", 's', 'p', 'y'}};
constexpr GateLine kZero[] = {{"constant", '0'}};
constexpr GateLine kShownBack[] = {{"constant", '0'}, {"select", 'Y', 'N', 'y', '0'}};
constexpr GateLine kStateBack[] = {{"select", 'd', 'M', 'E', '0'}, {"select", 'U', 'M', '0', 'E'}};
constexpr GateLine kLastBack[] = {{"select", 's', 'm', 'p', '0'}, {"select", 'V', 'm', '0', 'p'}};
constexpr GateLine kOutputBack[] = {
    {"select", 'P', 'm', 'p', '0'}, {"select", 'V', 'm', '0', 'p'}, {"add", 's', 'Y', 'P'}};

// d and D are the slopes of the state after and before, and i f g o those of the gates.
constexpr GateLine kLstmBack[] = {
    {"mul", 'q', 's', 'T'}, {"mul", 'r', 's', 'O'}, {"square", 't', 'T'},   {"constant", '1'},
    {"sub", 'u', '1', 't'}, {"mul", 'v', 'r', 'u'}, {"add", 'e', 'd', 'v'}, {"sub", 'w', '1', 'O'},
    {"mul", 'x', 'O', 'w'}, {"mul", 'o', 'q', 'x'}, {"mul", 'a', 'e', 'c'}, {"mul", 'D', 'e', 'F'},
};
constexpr GateLine kLstmRest[] = {{"add", 'W', 'U', 'D'}};
constexpr GateLine kLstmBackEnd[] = {
    {"sub", 'b', '1', 'F'}, {"mul", 'j', 'F', 'b'}, {"mul", 'f', 'a', 'j'}, {"mul", 'k', 'e', 'G'},
    {"mul", 'l', 'e', 'I'}, {"square", 'h', 'G'},   {"sub", 'n', '1', 'h'}, {"mul", 'g', 'l', 'n'},
    {"sub", 'z', '1', 'I'}, {"mul", 'A', 'I', 'z'}, {"mul", 'i', 'k', 'A'},
};
constexpr GateLine kGruBack[] = {{"mul", 'a', 's', 'd'}, {"mul", 'e', 's', 'z'}};
constexpr GateLine kGruRest[] = {{"add", 'W', 'V', 'e'}};
constexpr GateLine kGruBackEnd[] = {
    {"sub", 'b', 's', 'e'}, {"square", 't', 'n'},   {"constant", '1'},      {"sub", 'u', '1', 't'},
    {"mul", 'A', 'b', 'u'}, {"mul", 'c', 'A', 'q'}, {"mul", 'C', 'A', 'r'}, {"sub", 'f', '1', 'r'},
    {"mul", 'g', 'r', 'f'}, {"mul", 'R', 'c', 'g'}, {"sub", 'j', '1', 'z'}, {"mul", 'k', 'z', 'j'},
    {"mul", 'Z', 'a', 'k'},
};

// The letters of a kind's values, in their order.
constexpr char kLstmValues[] = "ifgocpmIFGOCThHDY", kGruValues[] = "xaXbqwpmzrndhHY";
static_assert(sizeof kLstmValues == Gates::Lstm::count + 1);
static_assert(sizeof kGruValues == Gates::Gru::count + 1);

struct GateForm {
  Gates::Kind kind;
  const char* values;
  std::array<Lines, 6> lines;
};
using Kind = Gates::Kind;

const GateForm kForms[] = {
    {Kind::lstm, kLstmValues, {kLstm}},
    {Kind::lstm, kLstmValues, {kLstm, kRestOutput, kRestState}},
    {Kind::lstm, kLstmValues, {kLstm, kRestOutput, kRestState, kShown}},
    {Kind::lstm_back, "syTOdcFGImMNoDfgiV", {kLstmBack, kLstmBackEnd}},
    {Kind::lstm_back, "pyTOdcFGImMNoDfgiV", {kSum, kLstmBack, kLstmBackEnd}},
    {Kind::lstm_back,
     "pyTOEcFGImMNoWfgiV",
     {kZero, kStateBack, kLastBack, kLstmBack, kLstmRest, kLstmBackEnd}},
    {Kind::lstm_back,
     "pyTOEcFGImMNoWfgiV",
     {kShownBack, kStateBack, kOutputBack, kLstmBack, kLstmRest, kLstmBackEnd}},
    {Kind::gru, kGruValues, {kGru}},
    {Kind::gru, kGruValues, {kGru, kRestOutput}},
    {Kind::gru, kGruValues, {kGru, kRestOutput, kShown}},
    {Kind::gru_back, "sydznqrmNeACRZ", {kGruBack, kGruBackEnd}},
    {Kind::gru_back, "pydznqrmNeACRZ", {kSum, kGruBack, kGruBackEnd}},
    {Kind::gru_back, "pydznqrmNWACRZ", {kZero, kLastBack, kGruBack, kGruRest, kGruBackEnd}},
    {Kind::gru_back, "pydznqrmNWACRZ", {kShownBack, kOutputBack, kGruBack, kGruRest, kGruBackEnd}},
};

class GateReader {
 public:
  explicit GateReader(const Binding& binding)
      : binding_(binding), region_(binding.node.regions[0]) {
    value_.fill(-1);
  }

  bool read(const GateForm& form) {
    auto node = region_.nodes.begin();
    for (const Lines lines : form.lines) {
      for (const GateLine& line : lines) {
        if (node == region_.nodes.end() || node->op != line.op || !reads(*node, line)) return false;
        of(line.result) = node->results[0];
        ++node;
      }
    }
    // Whatever is left must be among the values, each of which has one place.
    const std::vector<ValueId>& left = region_.returns;
    const auto is_value = [&](ValueId id) {
      return !is_operand(id) && std::count(left.begin(), left.end(), id) == 1 &&
             std::any_of(form.values, form.values + std::strlen(form.values),
                         [&](char letter) { return of(letter) == id; });
    };
    return node == region_.nodes.end() && std::all_of(left.begin(), left.end(), is_value);
  }

  Gates found(const GateForm& form) {
    Gates gates;
    gates.kind = form.kind;
    for (size_t i = 0; form.values[i] != 0; ++i) {
      if (const Buffer* buffer = buffer_of(of(form.values[i]))) {
        const int64_t row = buffer->row() * size_of(buffer->dtype);
        gates.values[i] = {buffer->base, buffer->offset, row, true};
      }
    }
    for (const Node& node : region_.nodes) {
      if (const auto operation = find_operation(node.op)) gates.flops += flops_of(*operation);
    }
    return gates;
  }

 private:
  ValueId& of(char letter) { return value_[static_cast<size_t>(letter)]; }

  bool is_operand(ValueId id) const {
    return std::find(region_.parameters.begin(), region_.parameters.end(), id) !=
           region_.parameters.end();
  }

  bool reads(const Node& node, const GateLine& line) {
    if (node.operands.empty()) {
      const double* number = std::get_if<double>(&node.attributes.at("value"));
      return number != nullptr && *number == line.result - '0' && !std::signbit(*number);
    }
    const char letters[] = {line.a, line.b, line.c};
    for (size_t i = 0; i < node.operands.size(); ++i) {
      ValueId& value = of(letters[i]);
      if (value == -1 && is_operand(node.operands[i])) value = node.operands[i];
      if (value != node.operands[i]) return false;
    }
    return true;
  }

  const Buffer* buffer_of(ValueId id) const {
    const auto find = [&](const std::vector<ValueId>& ids, const std::vector<Buffer>& buffers) {
      const auto at = std::find(ids.begin(), ids.end(), id);
      return at == ids.end() ? nullptr : &buffers[static_cast<size_t>(at - ids.begin())];
    };
    const Buffer* operand = find(region_.parameters, binding_.operands);
    return operand != nullptr ? operand : find(region_.returns, binding_.results);
  }

  const Binding& binding_;
  const Graph& region_;
  std::array<ValueId, 128> value_;  // by letter
};

// Results and operands, but for masks: one bool a row.
bool are_alike_rows(const Binding& binding) {
  const Buffer& one = binding.results[0];
  const auto alike = [&](const Buffer& buffer) {
    if (buffer.storage != Storage::dense || buffer.per_row != one.per_row) return false;
    std::vector<int64_t> dims = one.dims;
    if (buffer.dtype == DType::b8) dims.back() = 1;
    return buffer.dims == dims && (buffer.dtype == DType::b8 || buffer.dtype == DType::f32);
  };
  return one.dtype == DType::f32 && one.dims.size() >= 2 &&
         std::all_of(binding.operands.begin(), binding.operands.end(), alike) &&
         std::all_of(binding.results.begin(), binding.results.end(), alike);
}

}  // namespace

std::optional<Gates> find_gates(const Binding& binding) {
  if (!are_alike_rows(binding)) return std::nullopt;
  for (const GateForm& form : kForms) {
    GateReader reader(binding);
    if (reader.read(form)) return reader.found(form);
  }
  return std::nullopt;
}

}  // namespace slim
