// A convolution alone is a graph of one node, of sixteen bits of two: engines that read these write
// such, but where another node makes float32 of the sums. What follows is a node a step.
//
//   x, filters -> sums -> add row 0 -> relu -> result 1 -> round -> result 2
//
// A relu is two nodes, x <= 0 and then 0 or x: so NaN stays NaN, by which training tells that
// something went wrong. Of cuDNN's own relu few engines say that.
#include "cuda/nvidia/dnn_graph.h"

#include <algorithm>

namespace slim::cuda::nvidia {
namespace {

using Kind = ConvolutionShape::Kind;
using Step = PointwiseStep::Kind;

// The tensors' numbers: behind kBehind what a step gives, behind kRead what it reads, behind kMask
// where a relu has nothing.
constexpr int64_t kX = 1, kFilters = 2, kY = 3, kSums = 4, kZero = 5;
constexpr int64_t kBehind = 100, kRead = 200, kMask = 300;
constexpr int64_t kPart = sizeof(float);  // the alignment of what may be a part of another value
const float kNothing = 0;                 // as a number, and not an array on the device

int dnn_type(DType dtype) {
  return dtype == DType::bf16 ? kDnnBfloat16 : dtype == DType::f16 ? kDnnFloat16 : kDnnFloat;
}

enum class Lies { in_memory, nowhere, by_value };

// [outer, axes…, inner] as it lies, told in cuDNN's order: outer, inner, axes….
DnnDescriptor tensor(const DnnApi& api, int64_t id, int type, const std::vector<int64_t>& sizes,
                     Lies lies = Lies::in_memory, int64_t alignment = 16) {
  std::vector<int64_t> steps(sizes.size(), 1);
  for (size_t i = sizes.size() - 1; i-- > 0;) steps[i] = steps[i + 1] * sizes[i + 1];
  const auto in_order = [](const std::vector<int64_t>& of) {
    std::vector<int64_t> all{of.front(), of.back()};
    all.insert(all.end(), of.begin() + 1, of.end() - 1);
    return all;
  };
  DnnDescriptor made(api, DnnKind::tensor);
  made.set(DnnAttribute::id, DnnType::integer, id);
  made.set(DnnAttribute::data_type, DnnType::data_type, type);
  made.set(DnnAttribute::alignment, DnnType::integer, alignment);
  made.set(DnnAttribute::sizes, DnnType::integer, in_order(sizes));
  made.set(DnnAttribute::steps, DnnType::integer, in_order(steps));
  if (lies == Lies::nowhere) made.set(DnnAttribute::is_virtual, DnnType::boolean, true);
  if (lies == Lies::by_value) made.set(DnnAttribute::by_value, DnnType::boolean, true);
  made.finish();
  return made;
}

int64_t result_of(Kind kind) {
  return kind == Kind::forward ? kY : kind == Kind::input_grad ? kX : kFilters;
}

const std::vector<int64_t>& sizes_of(const ConvolutionShape& shape, int64_t id) {
  return id == kX ? shape.x : id == kFilters ? shape.filters : shape.y;
}

std::pair<DnnKind, DnnAttribute> node_of(Kind kind) {
  switch (kind) {
    case Kind::forward:
      return {DnnKind::forward, DnnAttribute::forward_alpha};
    case Kind::input_grad:
      return {DnnKind::input_grad, DnnAttribute::input_grad_alpha};
    case Kind::filter_grad:
      break;
  }
  return {DnnKind::filter_grad, DnnAttribute::filter_grad_alpha};
}

int mode_of(Step kind) {
  switch (kind) {
    case Step::add:
      return kAdd;
    case Step::subtract:
      return kSubtract;
    case Step::multiply:
      return kMultiply;
    case Step::relu:  // two nodes
    case Step::round:
      break;
  }
  return kIdentity;
}

}  // namespace

DnnGraph::DnnGraph(const DnnApi& api, DnnHandle handle, const ConvolutionShape& shape)
    : api_(api), graph_(api, DnnKind::graph) {
  const int64_t result = result_of(shape.kind);
  const bool is_wider = shape.behind.empty() && shape.dtype != DType::f32;
  const bool goes_on = is_wider || !shape.behind.empty();
  const auto operand = [&](int64_t id) -> const DnnDescriptor& {
    const auto& sizes = sizes_of(shape, id);
    if (id != result) return keep(tensor(api, id, dnn_type(shape.dtype), sizes));
    return goes_on ? keep(tensor(api, kSums, kDnnFloat, sizes, Lies::nowhere))
                   : keep(tensor(api, id, kDnnFloat, sizes));
  };
  const DnnDescriptor &x = operand(kX), &filters = operand(kFilters), &y = operand(kY);
  std::vector<DnnObject> nodes{add_convolution(shape, x, filters, y)};
  const DnnDescriptor* from = result == kX ? &x : result == kFilters ? &filters : &y;
  if (is_wider) {
    const DnnDescriptor& to = keep(tensor(api, result, kDnnFloat, sizes_of(shape, result)));
    nodes.push_back(add_step(kIdentity, *from, to));
  }
  const std::vector<int64_t> one(shape.y.size(), 1);
  std::vector<int64_t> row = one;
  row.back() = shape.y.back();
  const DnnDescriptor* zero = nullptr;
  for (size_t i = 0; i < shape.behind.size(); ++i) {
    const PointwiseStep& step = shape.behind[i];
    const auto place = static_cast<int64_t>(i);
    const DnnDescriptor& to = keep(tensor(api, kBehind + place, dnn_type(step.dtype), shape.y,
                                          step.is_result ? Lies::in_memory : Lies::nowhere));
    if (step.kind == Step::relu) {
      if (zero == nullptr) zero = &keep(tensor(api, kZero, kDnnFloat, one, Lies::by_value, kPart));
      const DnnDescriptor& mask =
          keep(tensor(api, kMask + place, kDnnBoolean, shape.y, Lies::nowhere));
      nodes.push_back(add_step(kLessEqual, *from, mask, zero));
      nodes.push_back(add_step(kSelect, *zero, to, from, &mask));
    } else {
      const DnnDescriptor* other =
          step.reads() ? &keep(tensor(api, kRead + place, kDnnFloat, row, Lies::in_memory, kPart))
                       : nullptr;
      nodes.push_back(add_step(mode_of(step.kind), *from, to, other));
    }
    from = &to;
  }
  graph_.set(DnnAttribute::graph_handle, DnnType::handle, handle);
  graph_.set(DnnAttribute::graph_nodes, DnnType::object, nodes);
  graph_.finish();
}

DnnObject DnnGraph::add_convolution(const ConvolutionShape& shape, const DnnDescriptor& x,
                                    const DnnDescriptor& filters, const DnnDescriptor& y) {
  DnnDescriptor windows(api_, DnnKind::convolution);
  windows.set(DnnAttribute::compute_type, DnnType::data_type, kDnnFloat);
  windows.set(DnnAttribute::mode, DnnType::mode, kCrossCorrelation);
  windows.set(DnnAttribute::axes, DnnType::integer, static_cast<int64_t>(shape.strides.size()));
  windows.set(DnnAttribute::strides, DnnType::integer, shape.strides);
  windows.set(DnnAttribute::dilations, DnnType::integer, shape.dilations);
  windows.set(DnnAttribute::before, DnnType::integer, shape.before);
  windows.set(DnnAttribute::after, DnnType::integer, shape.after);
  windows.finish();
  const auto [kind, first] = node_of(shape.kind);
  const auto behind = [first = first](int place) {
    return static_cast<DnnAttribute>(static_cast<int>(first) + place);
  };
  DnnDescriptor node(api_, kind);
  node.set(first, DnnType::real, 1.0F);
  node.set(behind(kBeta), DnnType::real, 0.0F);
  node.set(behind(kDescription), keep(std::move(windows)));
  node.set(behind(kOfFilters), filters);
  node.set(behind(kOfX), x);
  node.set(behind(kOfY), y);
  node.finish();
  return keep(std::move(node)).object();
}

DnnObject DnnGraph::add_step(int mode, const DnnDescriptor& x, const DnnDescriptor& y,
                             const DnnDescriptor* b, const DnnDescriptor* t) {
  DnnDescriptor what(api_, DnnKind::pointwise);
  what.set(DnnAttribute::pointwise_mode, DnnType::pointwise_mode, mode);
  what.set(DnnAttribute::pointwise_type, DnnType::data_type, kDnnFloat);
  what.finish();
  DnnDescriptor node(api_, DnnKind::pointwise_node);
  node.set(DnnAttribute::pointwise, keep(std::move(what)));
  node.set(DnnAttribute::pointwise_x, x);
  if (b != nullptr) node.set(DnnAttribute::pointwise_b, *b);
  if (t != nullptr) node.set(DnnAttribute::pointwise_t, *t);
  node.set(DnnAttribute::pointwise_y, y);
  node.finish();
  return keep(std::move(node)).object();
}

DnnArrays arrays_of(const ConvolutionShape& shape, const ConvolutionArrays& arrays) {
  DnnArrays all{{kX, kFilters}, {arrays.x, arrays.filters}};
  const auto add = [&](int64_t id, void* pointer) {
    all.ids.push_back(id);
    all.pointers.push_back(pointer);
  };
  if (shape.behind.empty()) add(kY, arrays.y);
  const auto is_relu = [](const PointwiseStep& step) { return step.kind == Step::relu; };
  if (std::any_of(shape.behind.begin(), shape.behind.end(), is_relu)) {
    add(kZero, const_cast<float*>(&kNothing));
  }
  size_t read = 0, results = 0;
  for (size_t i = 0; i < shape.behind.size(); ++i) {
    const auto place = static_cast<int64_t>(i);
    if (shape.behind[i].reads()) add(kRead + place, arrays.read[read++]);
    if (shape.behind[i].is_result) add(kBehind + place, arrays.results[results++]);
  }
  return all;
}

}  // namespace slim::cuda::nvidia
