// The descriptors of a library that is called as cuDNN is, and what graphs of them compute: one
// element after the other, by the sizes and steps of their tensors.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cuda/nvidia/cudnn.h"

using namespace slim::cuda::nvidia;

namespace {

using Attribute = DnnAttribute;

struct Value {
  DnnType type;
  int64_t count = 0;
  std::vector<std::byte> bytes;
};

struct Object {
  DnnKind kind;
  bool finished = false;
  std::map<Attribute, Value> values;

  template <class T>
  std::vector<T> all(Attribute attribute) const {
    const Value& value = values.at(attribute);
    std::vector<T> read(static_cast<size_t>(value.count));
    std::memcpy(read.data(), value.bytes.data(), value.bytes.size());
    return read;
  }
  template <class T>
  T one(Attribute attribute) const {
    return all<T>(attribute).at(0);
  }
  const Object& object(Attribute attribute) const {
    return *static_cast<const Object*>(one<DnnObject>(attribute));
  }
};

Object& of(DnnObject object) { return *static_cast<Object*>(object); }

size_t size_of(DnnType type) {
  switch (type) {
    case DnnType::data_type:
    case DnnType::mode:
    case DnnType::heuristic:
    case DnnType::note:
    case DnnType::real:
    case DnnType::pointwise_mode:
      return 4;
    case DnnType::boolean:
      return 1;
    default:
      return 8;
  }
}

// Which attributes a kind has, and of which type; all but `kOptional` it must have.
const std::set<Attribute> kOptional{Attribute::is_virtual, Attribute::by_value,
                                    Attribute::pointwise_b, Attribute::pointwise_t};
using Schema = std::map<Attribute, DnnType>;
Schema schema_of(DnnKind kind) {
  const auto node = [](Attribute alpha) {
    const int first = static_cast<int>(alpha);
    Schema all;
    for (int i = 0; i < 6; ++i) {
      all[static_cast<Attribute>(first + i)] = i < kDescription ? DnnType::real : DnnType::object;
    }
    return all;
  };
  switch (kind) {
    case DnnKind::tensor:
      return {{Attribute::id, DnnType::integer},        {Attribute::data_type, DnnType::data_type},
              {Attribute::alignment, DnnType::integer}, {Attribute::sizes, DnnType::integer},
              {Attribute::steps, DnnType::integer},     {Attribute::is_virtual, DnnType::boolean},
              {Attribute::by_value, DnnType::boolean}};
    case DnnKind::pointwise:
      return {{Attribute::pointwise_mode, DnnType::pointwise_mode},
              {Attribute::pointwise_type, DnnType::data_type}};
    case DnnKind::pointwise_node:
      return {{Attribute::pointwise, DnnType::object},
              {Attribute::pointwise_x, DnnType::object},
              {Attribute::pointwise_b, DnnType::object},
              {Attribute::pointwise_t, DnnType::object},
              {Attribute::pointwise_y, DnnType::object}};
    case DnnKind::convolution:
      return {{Attribute::compute_type, DnnType::data_type}, {Attribute::mode, DnnType::mode},
              {Attribute::axes, DnnType::integer},           {Attribute::strides, DnnType::integer},
              {Attribute::dilations, DnnType::integer},      {Attribute::before, DnnType::integer},
              {Attribute::after, DnnType::integer}};
    case DnnKind::forward:
      return node(Attribute::forward_alpha);
    case DnnKind::input_grad:
      return node(Attribute::input_grad_alpha);
    case DnnKind::filter_grad:
      return node(Attribute::filter_grad_alpha);
    case DnnKind::graph:
      return {{Attribute::graph_handle, DnnType::handle},
              {Attribute::graph_nodes, DnnType::object}};
    case DnnKind::heuristic:
      return {{Attribute::heuristic_graph, DnnType::object},
              {Attribute::heuristic, DnnType::heuristic}};
    case DnnKind::plan:
      return {{Attribute::plan_handle, DnnType::handle}, {Attribute::plan_config, DnnType::object}};
    case DnnKind::arrays:
      return {{Attribute::array_ids, DnnType::integer},
              {Attribute::array_pointers, DnnType::pointer},
              {Attribute::array_workspace, DnnType::pointer}};
    case DnnKind::engine:
    case DnnKind::engine_config:
      break;
  }
  return {};
}

struct Tensor {
  explicit Tensor(const Object& object)
      : id(object.one<int64_t>(Attribute::id)),
        type(object.one<int>(Attribute::data_type)),
        sizes(object.all<int64_t>(Attribute::sizes)),
        alignment(object.one<int64_t>(Attribute::alignment)),
        steps(object.all<int64_t>(Attribute::steps)),
        is_virtual(object.values.contains(Attribute::is_virtual)),
        by_value(object.values.contains(Attribute::by_value)) {}

  int64_t id;
  int type;
  std::vector<int64_t> sizes;
  int64_t alignment;
  std::vector<int64_t> steps;
  bool is_virtual, by_value;
};

// A node of the graph, read as the headers say: x [images, channels, axes…], filters [outputs,
// channels of a group, taps…], y [images, outputs, axes…].
struct Node {
  explicit Node(const Object& node)
      : kind(node.kind),
        first(kind == DnnKind::forward      ? Attribute::forward_alpha
              : kind == DnnKind::input_grad ? Attribute::input_grad_alpha
                                            : Attribute::filter_grad_alpha),
        x(node.object(at(kOfX))),
        filters(node.object(at(kOfFilters))),
        y(node.object(at(kOfY))),
        alpha(node.one<float>(first)),
        beta(node.one<float>(at(kBeta))) {
    const Object& windows = node.object(at(kDescription));
    strides = windows.all<int64_t>(Attribute::strides);
    dilations = windows.all<int64_t>(Attribute::dilations);
    before = windows.all<int64_t>(Attribute::before);
    after = windows.all<int64_t>(Attribute::after);
  }
  Attribute at(int place) const { return static_cast<Attribute>(static_cast<int>(first) + place); }

  const Tensor& result() const {
    return kind == DnnKind::forward ? y : kind == DnnKind::input_grad ? x : filters;
  }
  const Tensor& a() const { return kind == DnnKind::input_grad ? y : x; }
  const Tensor& b() const { return kind == DnnKind::filter_grad ? y : filters; }

  bool fits() const {
    const size_t axes = strides.size();
    for (const Tensor* each : {&x, &filters, &y}) {
      if (each->sizes.size() != axes + 2) return false;
    }
    if (x.sizes[0] != y.sizes[0] || filters.sizes[0] != y.sizes[1] ||
        x.sizes[1] % filters.sizes[1] != 0 || y.sizes[1] % (x.sizes[1] / filters.sizes[1]) != 0) {
      return false;
    }
    if (a().type != b().type || result().type != kDnnFloat) return false;
    for (size_t i = 0; i < axes; ++i) {
      const int64_t reach = (filters.sizes[2 + i] - 1) * dilations[i] + 1;
      const int64_t room = x.sizes[2 + i] + before[i] + after[i] - reach;
      if (room < 0 || y.sizes[2 + i] != room / strides[i] + 1) return false;
    }
    return true;
  }

  DnnKind kind;
  Attribute first;
  Tensor x, filters, y;
  float alpha, beta;
  std::vector<int64_t> strides, dilations, before, after;
};

float to_tf32(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  return std::bit_cast<float>((bits + 0xfffU + (bits >> 13 & 1U)) & ~0x1fffU);
}

bool advance(std::vector<int64_t>& index, const std::vector<int64_t>& sizes) {
  for (size_t i = index.size(); i-- > 0;) {
    if (++index[i] < sizes[i]) return true;
    index[i] = 0;
  }
  return false;
}

int64_t place(const Tensor& tensor, const std::vector<int64_t>& index) {
  int64_t at = 0;
  for (size_t i = 0; i < index.size(); ++i) at += index[i] * tensor.steps[i];
  return at;
}

double half(uint16_t bits) {
  _Float16 number;
  std::memcpy(&number, &bits, sizeof number);
  return static_cast<double>(number);
}

// An operand's elements as what they are multiplied as.
struct Reader {
  double operator()(int64_t at) const {
    if (type == kDnnFloat) {
      const float number = static_cast<const float*>(data)[at];
      return rounds ? to_tf32(number) : number;
    }
    const uint16_t bits = static_cast<const uint16_t*>(data)[at];
    return type == kDnnFloat16 ? half(bits) : std::bit_cast<float>(uint32_t{bits} << 16);
  }

  const void* data;
  int type;
  bool rounds;
};

// The sums, by the places of the result.
std::map<int64_t, double> convolve(const Node& node, bool rounds,
                                   const std::map<int64_t, void*>& arrays) {
  const Tensor& result = node.result();
  const auto reader = [&](const Tensor& of) { return Reader{arrays.at(of.id), of.type, rounds}; };
  const Reader a = reader(node.a()), b = reader(node.b());
  std::map<int64_t, double> sums;
  std::vector<int64_t> index(result.sizes.size());
  do sums[place(result, index)] = 0;
  while (advance(index, result.sizes));
  const int64_t groups = node.x.sizes[1] / node.filters.sizes[1];
  std::vector<int64_t> of_y(node.y.sizes.size());
  do {
    std::vector<int64_t> tap(of_y.size());  // of a filter: 0, channel, taps…
    std::vector<int64_t> taps = node.filters.sizes;
    taps[0] = 1;
    do {
      std::vector<int64_t> of_x = of_y, of_filters = tap;
      of_filters[0] = of_y[1];
      of_x[1] = of_y[1] / (node.y.sizes[1] / groups) * node.filters.sizes[1] + tap[1];
      bool inside = true;
      for (size_t i = 2; i < of_x.size(); ++i) {
        of_x[i] =
            of_y[i] * node.strides[i - 2] + tap[i] * node.dilations[i - 2] - node.before[i - 2];
        inside = inside && of_x[i] >= 0 && of_x[i] < node.x.sizes[i];
      }
      if (!inside) continue;
      const int64_t at_x = place(node.x, of_x), at_filters = place(node.filters, of_filters),
                    at_y = place(node.y, of_y);
      if (node.kind == DnnKind::forward) {
        sums[at_y] += a(at_x) * b(at_filters);
      } else if (node.kind == DnnKind::input_grad) {
        sums[at_x] += a(at_y) * b(at_filters);
      } else {
        sums[at_filters] += a(at_x) * b(at_y);
      }
    } while (advance(tap, taps));
  } while (advance(of_y, node.y.sizes));
  return sums;
}

// A node behind the convolution, or behind another such one.
struct Step {
  explicit Step(const Object& node)
      : from(node.object(Attribute::pointwise_x)), to(node.object(Attribute::pointwise_y)) {
    mode = node.object(Attribute::pointwise).one<int>(Attribute::pointwise_mode);
    if (node.values.contains(Attribute::pointwise_b)) {
      other.emplace(node.object(Attribute::pointwise_b));
    }
    if (node.values.contains(Attribute::pointwise_t)) {
      mask.emplace(node.object(Attribute::pointwise_t));
    }
  }

  bool is_one() const {
    return other && std::count(other->sizes.begin(), other->sizes.end(), 1) ==
                        static_cast<int64_t>(other->sizes.size());
  }
  // A comparison's mask decides between what it compared with and what it compared.
  bool is_followed_by(const Step& select) const {
    return mode == kLessEqual && select.mode == kSelect && to.type == kDnnBoolean &&
           to.is_virtual && is_one() && other->by_value && select.from.id == other->id &&
           select.other && select.other->id == from.id && select.mask && select.mask->id == to.id;
  }
  // A number for each output, or one for all, or none.
  bool fits() const {
    const bool compares = mode == kLessEqual;
    const bool reads = compares || mode == kAdd || mode == kSubtract || mode == kMultiply;
    if (mask || reads != other.has_value() || (!reads && mode != kIdentity)) return false;
    if (to.sizes != from.sizes || to.steps != from.steps) return false;
    if (!reads) return true;
    std::vector<int64_t> row(to.sizes.size(), 1);
    if (!compares) row[1] = to.sizes[1];
    return other->sizes == row && other->type == kDnnFloat && !other->is_virtual;
  }
  float operator()(float x, float y) const {
    switch (mode) {
      case kAdd:
        return x + y;
      case kSubtract:
        return x - y;
      case kMultiply:
        return x * y;
      case kLessEqual:  // and the choice behind it
        return x <= y ? y : x;
      default:
        return x;
    }
  }

  int mode = kIdentity;
  Tensor from, to;
  std::optional<Tensor> other, mask;
};

void store(void* to, int type, int64_t at, float x) {
  if (type == kDnnFloat) {
    static_cast<float*>(to)[at] = x;
  } else if (type == kDnnFloat16) {
    static_cast<uint16_t*>(to)[at] = std::bit_cast<uint16_t>(static_cast<_Float16>(x));
  } else {
    const auto bits = std::bit_cast<uint32_t>(x);
    const uint32_t nearest = x == x ? bits + 0x7fffU + (bits >> 16 & 1U) : bits;
    static_cast<uint16_t*>(to)[at] = static_cast<uint16_t>(nearest >> 16);
  }
}

// Empty where the nodes are none that are known. A comparison and the choice by it are one step.
std::optional<std::vector<Step>> steps_of(const std::vector<DnnObject>& nodes) {
  std::vector<Step> steps;
  for (size_t i = 1; i < nodes.size(); ++i) {
    Step step(of(nodes[i]));
    if (!step.fits()) return std::nullopt;
    if (step.mode == kLessEqual) {
      if (++i == nodes.size()) return std::nullopt;
      const Step select(of(nodes[i]));
      if (!step.is_followed_by(select) || select.to.sizes != step.from.sizes) return std::nullopt;
      step.to = select.to;
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

// Whether arrays lie as their tensors say.
bool are_aligned(const std::vector<DnnObject>& nodes, const std::map<int64_t, void*>& arrays) {
  const Node node(of(nodes.at(0)));
  std::vector<Tensor> all{node.x, node.filters, node.y};
  for (const Step& step : *steps_of(nodes)) {
    all.push_back(step.to);
    if (step.other) all.push_back(*step.other);
  }
  return std::all_of(all.begin(), all.end(), [&](const Tensor& tensor) {
    return tensor.is_virtual ||
           reinterpret_cast<intptr_t>(arrays.at(tensor.id)) % tensor.alignment == 0;
  });
}

void compute(const std::vector<DnnObject>& nodes, uint32_t notes,
             const std::map<int64_t, void*>& arrays) {
  const Node node(of(nodes.at(0)));
  const Tensor& result = node.result();
  const std::map<int64_t, double> sums = convolve(node, (notes & kRoundsOperands) != 0, arrays);
  const std::vector<Step> steps = *steps_of(nodes);
  std::vector<int64_t> index(result.sizes.size());
  do {
    const int64_t at = place(result, index);
    float x = node.alpha * static_cast<float>(sums.at(at));
    if (!result.is_virtual) {
      auto* const to = static_cast<float*>(arrays.at(result.id));
      to[at] = x = node.beta == 0 ? x : x + node.beta * to[at];
    }
    for (const Step& step : steps) {
      const auto* other = step.other ? static_cast<float*>(arrays.at(step.other->id)) : nullptr;
      x = step(x, other == nullptr ? 0 : other[step.is_one() ? 0 : index[1]]);
      if (!step.to.is_virtual) store(arrays.at(step.to.id), step.to.type, at, x);
    }
  } while (advance(index, result.sizes));
}

// A chain of nodes, of which the first reads what lies nowhere. Operands of sixteen bits need one.
bool is_known(const Object& graph) {
  const auto nodes = graph.all<DnnObject>(Attribute::graph_nodes);
  const Node node(of(nodes[0]));
  const bool goes_on = nodes.size() > 1;
  if (node.result().is_virtual != goes_on) return false;
  if (node.a().type != kDnnFloat && !goes_on) return false;
  const Tensor* from = &node.result();
  const auto steps = steps_of(nodes);
  if (!steps) return false;
  for (const Step& step : *steps) {
    const bool last = &step == &steps->back();
    if (step.from.id != from->id || from->type != kDnnFloat) return false;
    if (last && step.to.is_virtual) return false;
    from = &step.to;
  }
  return true;
}

}  // namespace
