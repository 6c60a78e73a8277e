// What no operand decides: iota, constant_list, extent.
#include <cctype>
#include <cstring>

#include "cuda/shapes.h"

namespace slim::cuda {
namespace {

std::vector<KernelText> prepare_iota(const Binding& binding) {
  const Buffer& dst = binding.results[0];
  KernelText text;
  text.headers = {"fill"};
  Arguments arguments(text);
  text.body = "  slim::iota(" + arguments.out(dst) + ", " + count_of(dst).text() + ");\n";
  text.grid = grid_over(count_of(dst).capacity);
  text.cost.bytes = static_cast<double>(count_of(dst).capacity * size_of(dst.dtype));
  return {text};
}

// A number's bits as a whole number of its size.
template <class Number>
std::string bits(DType dtype, Number value) {
  if (dtype == DType::f32) {
    const auto narrow = static_cast<float>(value);
    uint32_t word;
    std::memcpy(&word, &narrow, sizeof word);
    return std::to_string(static_cast<int32_t>(word));
  }
  if (dtype == DType::f64) {
    const auto wide = static_cast<double>(value);
    uint64_t word;
    std::memcpy(&word, &wide, sizeof word);
    return std::to_string(word) + "ULL";
  }
  return std::to_string(static_cast<uint64_t>(static_cast<int64_t>(value))) + "ULL";
}

std::vector<KernelText> prepare_constant_list(const Binding& binding) {
  const Buffer& dst = binding.results[0];
  const Attribute& values = binding.node.attributes.at("values");
  const std::string type = c_type(word_of(dst.dtype));
  std::string list;
  const auto add = [&](auto value) {
    list += (list.empty() ? "" : ", ") + ("(" + type + ")" + bits(dst.dtype, value));
  };
  if (const auto* whole = std::get_if<std::vector<int64_t>>(&values)) {
    for (const int64_t value : *whole) add(value);
  } else {
    for (const double value : std::get<std::vector<double>>(values)) add(value);
  }
  if (list.empty()) return {};
  KernelText text;
  text.functions = "static __device__ const " + type + " list_NAME[] = {" + list + "};\n";
  text.arguments = {dst};
  const std::string to = pointer(0, word_of(dst.dtype), true);
  text.body = "  auto* to = " + to + ";\n  for (long long i = slim::first_index(); i < " +
              count_of(dst).text() + "; i += slim::index_step()) to[i] = list_NAME[i];\n";
  text.grid = grid_over(count_of(dst).capacity);
  return {text};
}

// The words of a dimension, as Dim::str prints it, in slim::Whole (kernels/fill.cuh).
std::string formula(const std::string& dim) {
  std::string text;
  for (size_t i = 0; i < dim.size(); ++i) {
    const char c = dim[i];
    if (std::isdigit(static_cast<unsigned char>(c))) {
      size_t used = 0;
      text += "slim::Whole{" + std::to_string(std::stoll(dim.substr(i, 18), &used)) + ".0}";
      i += used - 1;
    } else if (c == 'B' || c == 'P') {
      text += "slim::Whole{static_cast<double>(a.facts->rows)}";
    } else if (c == '/') {
      text += " % ";
      ++i;  // it is written twice
    } else if (c == '-' && (i == 0 || dim[i - 1] == '(')) {
      text += "slim::Whole{0.0} - ";  // of the whole product behind it
    } else {
      text += c;
    }
  }
  return text;
}

std::vector<KernelText> prepare_extent(const Binding& binding) {
  const Buffer& dst = binding.results[0];
  const auto& dim = std::get<std::string>(binding.node.attributes.at("dim"));
  const std::string text_of_dim = Dim::parse(dim).str();
  if (text_of_dim.find_first_not_of("0123456789BP+-*/() ") != std::string::npos) {
    binding.refuse("dim=\"" + dim + "\" must be an expression of B alone");
  }
  KernelText text;
  text.headers = {"fill"};
  Arguments arguments(text);
  text.grid = {1, kThreads};
  text.body = "  *" + arguments.out(dst) + " = static_cast<" + c_type(dst.dtype) + ">((" +
              formula(text_of_dim) + ").value);\n";
  return {text};
}

}  // namespace

SLIM_CUDA_KERNEL(iota, prepare_iota);
SLIM_CUDA_KERNEL(constant_list, prepare_constant_list);
SLIM_CUDA_KERNEL(extent, prepare_extent);

}  // namespace slim::cuda
