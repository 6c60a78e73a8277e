// A library that is called as cuDNN is, and computes on the host what its descriptors say: one
// element after the other, by the sizes and steps of its tensors. What the headers of cuDNN forbid
// is refused. SLIM_FAKE_CUDNN names what fails: a function, or the kind of descriptor that is not
// finalized.
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cuda/nvidia/cudnn.h"

using namespace slim::cuda::nvidia;

namespace {

constexpr Result kBadParameter = 2000, kNotSupported = 3000;
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

bool fails(const std::string& what) {
  const char* wish = std::getenv("SLIM_FAKE_CUDNN");
  return wish != nullptr && what == wish;
}

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

// Which attributes a kind must have, and of which type.
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
              {Attribute::steps, DnnType::integer},     {Attribute::is_virtual, DnnType::boolean}};
    case DnnKind::pointwise:
      return {{Attribute::pointwise_mode, DnnType::pointwise_mode},
              {Attribute::pointwise_type, DnnType::data_type}};
    case DnnKind::pointwise_node:
      return {{Attribute::pointwise, DnnType::object},
              {Attribute::pointwise_x, DnnType::object},
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

// The engines, as the heuristics name them: what they say of their numbers. All but the last three
// compute nothing that anybody may use.
constexpr uint32_t kEngines[] = {kVaries,
                                 kTensorCore | kShortSums,
                                 kFourier,
                                 kWinograd | kWinograd13,
                                 kTensorCore | kWinograd | kRoundsOperands,
                                 kTensorCore | kRoundsOperands,
                                 0,
                                 0};
constexpr int64_t kRounds = 5, kLast = 7;  // kLast is the one to fall back to

struct Tensor {
  explicit Tensor(const Object& object)
      : id(object.one<int64_t>(Attribute::id)),
        type(object.one<int>(Attribute::data_type)),
        sizes(object.all<int64_t>(Attribute::sizes)),
        steps(object.all<int64_t>(Attribute::steps)),
        is_virtual(object.values.contains(Attribute::is_virtual)) {}

  int64_t id;
  int type;
  std::vector<int64_t> sizes, steps;
  bool is_virtual;
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
  const int exponent = bits >> 10 & 31, rest = bits & 1023;
  const double size = exponent > 0 ? std::ldexp(1024 + rest, exponent - 25) : std::ldexp(rest, -24);
  return bits >> 15 != 0 ? -size : size;
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

void convolve(const Node& node, bool rounds, const std::map<int64_t, void*>& arrays,
              int64_t to_id) {
  const Tensor& result = node.result();
  auto* const to = static_cast<float*>(arrays.at(to_id));
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
  for (const auto& [at, sum] : sums) {
    const float kept = node.beta == 0 ? 0 : node.beta * to[at];
    to[at] = static_cast<float>(node.alpha * sum) + kept;
  }
}

// The tensor that has what a graph computes: the convolution's, or that of an identity behind it.
int64_t result_of(const Object& graph) {
  const auto nodes = graph.all<DnnObject>(Attribute::graph_nodes);
  if (nodes.size() == 1) return Node(of(nodes[0])).result().id;
  return Tensor(of(nodes[1]).object(Attribute::pointwise_y)).id;
}

// Operands of sixteen bits need a node behind them, which reads what lies nowhere.
bool is_known(const Object& graph) {
  const auto nodes = graph.all<DnnObject>(Attribute::graph_nodes);
  const Node node(of(nodes[0]));
  const bool two = node.a().type != kDnnFloat;
  if (nodes.size() != (two ? 2 : 1) || node.result().is_virtual != two) return false;
  if (!two) return true;
  const Object& next = of(nodes[1]);
  const Object& what = next.object(Attribute::pointwise);
  const Tensor from(next.object(Attribute::pointwise_x)), to(next.object(Attribute::pointwise_y));
  return what.one<int>(Attribute::pointwise_mode) == kIdentity && from.id == node.result().id &&
         !to.is_virtual && to.type == kDnnFloat && to.sizes == from.sizes && to.steps == from.steps;
}

int64_t runs = 0, sixteen_bit_runs = 0;
int handles = 0;

}  // namespace

extern "C" {

int64_t fake_cudnn_runs() { return runs; }
int64_t fake_cudnn_sixteen_bit_runs() { return sixteen_bit_runs; }

const char* cudnnGetErrorString(Result result) {
  return result == kBadParameter   ? "CUDNN_STATUS_BAD_PARAM"
         : result == kNotSupported ? "CUDNN_STATUS_NOT_SUPPORTED"
                                   : "CUDNN_STATUS_INTERNAL_ERROR";
}

Result cudnnGetProperty(int which, int* value) {
  *value = which == 0 ? 9 : which;
  return 0;
}

Result cudnnCreate(DnnHandle* handle) {
  if (fails("cudnnCreate")) return 1001;
  *handle = reinterpret_cast<DnnHandle>(&handles);
  ++handles;
  return 0;
}
Result cudnnDestroy(DnnHandle) { return --handles < 0 ? kBadParameter : 0; }
Result cudnnSetStream(DnnHandle, StreamHandle) { return fails("cudnnSetStream") ? 4000 : 0; }

Result cudnnBackendCreateDescriptor(DnnKind kind, DnnObject* object) {
  if (fails("cudnnBackendCreateDescriptor")) return kNotSupported;
  *object = new Object{kind, false, {}};
  return 0;
}
Result cudnnBackendDestroyDescriptor(DnnObject object) {
  delete static_cast<Object*>(object);
  return 0;
}

Result cudnnBackendSetAttribute(DnnObject object, Attribute attribute, DnnType type, int64_t count,
                                const void* values) {
  if (fails("cudnnBackendSetAttribute")) return kBadParameter;
  const Schema schema = schema_of(of(object).kind);
  const auto known = schema.find(attribute);
  if (of(object).finished || known == schema.end() || known->second != type) return kBadParameter;
  Value& value = of(object).values[attribute] = {type, count, {}};
  const auto* from = static_cast<const std::byte*>(values);
  value.bytes.assign(from, from + static_cast<size_t>(count) * size_of(type));
  if (type != DnnType::object) return 0;
  for (const DnnObject other : of(object).all<DnnObject>(attribute)) {
    if (!of(other).finished) return kBadParameter;
  }
  return 0;
}

Result cudnnBackendFinalize(DnnObject object) {
  Object& own = of(object);
  for (const auto& [attribute, type] : schema_of(own.kind)) {
    if (attribute == Attribute::is_virtual) continue;
    if (!own.values.contains(attribute)) return kBadParameter;
  }
  if (fails("kind " + std::to_string(static_cast<int>(own.kind)))) return kNotSupported;
  if (own.kind == DnnKind::tensor) {
    const Tensor tensor(own);
    if (tensor.sizes.size() != tensor.steps.size()) return kBadParameter;
    for (size_t i = 0; i < tensor.sizes.size(); ++i) {
      if (tensor.sizes[i] < 1 || tensor.steps[i] < 1) return kBadParameter;
    }
  }
  if (own.kind == DnnKind::convolution) {
    for (const Attribute list :
         {Attribute::strides, Attribute::dilations, Attribute::before, Attribute::after}) {
      if (own.values.at(list).count != own.one<int64_t>(Attribute::axes)) return kBadParameter;
    }
  }
  if (own.kind == DnnKind::forward || own.kind == DnnKind::input_grad ||
      own.kind == DnnKind::filter_grad) {
    const Node node(own);
    if (!node.fits()) return kBadParameter;
    if (node.a().type != kDnnFloat && fails("sixteen bits")) return kNotSupported;
  }
  if (own.kind == DnnKind::graph && !is_known(own)) return kNotSupported;
  if (own.kind == DnnKind::plan) {
    const int64_t engine = own.object(Attribute::plan_config).one<int64_t>(Attribute::engine);
    if (engine != kLast && fails("engines")) return kNotSupported;
    int64_t bytes = 1000 + engine;
    if (fails("workspace")) bytes = int64_t{1} << 40;
    own.values[Attribute::plan_workspace] = {DnnType::integer, 1, {}};
    own.values[Attribute::plan_workspace].bytes.resize(8);
    std::memcpy(own.values[Attribute::plan_workspace].bytes.data(), &bytes, 8);
  }
  own.finished = true;
  return 0;
}

Result cudnnBackendGetAttribute(DnnObject object, Attribute attribute, DnnType type, int64_t wanted,
                                int64_t* count, void* values) {
  const Object& own = of(object);
  const auto put = [](Object& to, Attribute attribute, int64_t number) {
    Value& value = to.values[attribute] = {DnnType::integer, 1, {}};
    value.bytes.resize(8);
    std::memcpy(value.bytes.data(), &number, 8);
    to.finished = true;
  };
  if (own.kind == DnnKind::heuristic && attribute == Attribute::configs && own.finished) {
    const bool best = own.one<int>(Attribute::heuristic) == kHeuristicA;
    const int64_t first = best ? 0 : kLast, all = best ? kLast : 1;
    if (type != DnnType::object) return kBadParameter;
    *count = wanted == 0 ? all : std::min(all, wanted);
    for (int64_t i = 0; i < *count && wanted > 0; ++i) {
      Object& config = of(static_cast<DnnObject*>(values)[i]);
      put(config, Attribute::engine, first + i);
      put(config, Attribute::heuristic_graph,
          reinterpret_cast<int64_t>(&own.object(Attribute::heuristic_graph)));
    }
    return 0;
  }
  if (own.kind == DnnKind::engine_config && attribute == Attribute::engine) {
    put(of(*static_cast<DnnObject*>(values)), Attribute::engine,
        own.one<int64_t>(Attribute::engine));
    *count = 1;
    return type == DnnType::object ? 0 : kBadParameter;
  }
  if (own.kind == DnnKind::engine && attribute == Attribute::notes) {
    const uint32_t notes = kEngines[own.one<int64_t>(Attribute::engine)];
    *count = 0;
    for (int i = 0; i < 10; ++i) {
      if ((notes >> i & 1U) != 0) static_cast<int*>(values)[(*count)++] = i;
    }
    return type == DnnType::note ? 0 : kBadParameter;
  }
  if (own.kind == DnnKind::plan && attribute == Attribute::plan_workspace && own.finished) {
    *static_cast<int64_t*>(values) = own.one<int64_t>(attribute);
    *count = 1;
    return type == DnnType::integer ? 0 : kBadParameter;
  }
  return kBadParameter;
}

Result cudnnBackendExecute(DnnHandle, DnnObject plan, DnnObject arrays) {
  if (fails("cudnnBackendExecute")) return 5000;
  if (!of(plan).finished || !of(arrays).finished) return kBadParameter;
  const Object& config = of(plan).object(Attribute::plan_config);
  const auto engine = config.one<int64_t>(Attribute::engine);
  const auto& graph =
      of(reinterpret_cast<DnnObject>(config.one<int64_t>(Attribute::heuristic_graph)));
  const Node node(of(graph.all<DnnObject>(Attribute::graph_nodes).at(0)));
  const auto ids = of(arrays).all<int64_t>(Attribute::array_ids);
  const auto pointers = of(arrays).all<void*>(Attribute::array_pointers);
  std::map<int64_t, void*> found;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (reinterpret_cast<uintptr_t>(pointers.at(i)) % 16 != 0) return kBadParameter;
    found[ids[i]] = pointers[i];
  }
  auto* workspace = of(arrays).one<void*>(Attribute::array_workspace);
  if (reinterpret_cast<uintptr_t>(workspace) % 256 != 0) return kBadParameter;
  std::memset(workspace, 0xff,
              static_cast<size_t>(of(plan).one<int64_t>(Attribute::plan_workspace)));
  if (engine < kRounds) return 5000;
  convolve(node, engine == kRounds, found, result_of(graph));
  ++runs;
  if (node.a().type != kDnnFloat) ++sixteen_bit_runs;
  return 0;
}

}  // extern "C"
