// A library that is called as cuDNN is, and computes on the host what its descriptors say: one
// element after the other, by the sizes and steps of its tensors. What the headers of cuDNN forbid
// is refused. SLIM_FAKE_CUDNN names what fails: a function, or the kind of descriptor that is not
// finalized.
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "fake_cudnn_graph.h"

namespace {

constexpr Result kBadParameter = 2000, kNotSupported = 3000;

bool fails(const std::string& what) {
  const char* wish = std::getenv("SLIM_FAKE_CUDNN");
  return wish != nullptr && what == wish;
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
    if (kOptional.contains(attribute)) continue;
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
  if (own.kind == DnnKind::pointwise_node && Step(own).mode != kIdentity && fails("steps")) {
    return kNotSupported;
  }
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
  const auto nodes = graph.all<DnnObject>(Attribute::graph_nodes);
  const Node node(of(nodes.at(0)));
  const auto ids = of(arrays).all<int64_t>(Attribute::array_ids);
  const auto pointers = of(arrays).all<void*>(Attribute::array_pointers);
  std::map<int64_t, void*> found;
  for (size_t i = 0; i < ids.size(); ++i) found[ids[i]] = pointers.at(i);
  if (!are_aligned(nodes, found)) return kBadParameter;
  auto* workspace = of(arrays).one<void*>(Attribute::array_workspace);
  if (reinterpret_cast<uintptr_t>(workspace) % 256 != 0) return kBadParameter;
  std::memset(workspace, 0xff,
              static_cast<size_t>(of(plan).one<int64_t>(Attribute::plan_workspace)));
  if (engine < kRounds) return 5000;
  compute(nodes, kEngines[engine], found);
  ++runs;
  if (node.a().type != kDnnFloat) ++sixteen_bit_runs;
  return 0;
}

}  // extern "C"
