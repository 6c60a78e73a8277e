// A convolution is a graph of one node, of sixteen bits of two. A heuristic names engines that
// compute it, the best first; the first that suits becomes the plan. None is timed: what is chosen
// is the same in every run.
#include "cuda/nvidia/dnn.h"

#include <optional>

#include "cuda/nvidia/dnn_object.h"
#include "cuda/nvidia/library.h"

namespace slim::cuda::nvidia {
namespace {

using Kind = ConvolutionShape::Kind;

constexpr int64_t kMostDnnBytes = int64_t{512} << 20;  // of workspace
// The tensors' numbers.
constexpr int64_t kX = 1, kFilters = 2, kY = 3, kSums = 4;
// Engines that do not give the same bits in every run, or whose sums are far from float32's.
constexpr uint32_t kUnfit = kShortSums | kFourier | kVaries | kWinograd6 | kWinograd13;
constexpr uint32_t kRounding = kTensorCore | kRoundsOperands;
constexpr uint32_t kAnyWinograd = kWinograd | kWinograd4 | kWinograd6 | kWinograd13;

int dnn_type(DType dtype) {
  return dtype == DType::bf16 ? kDnnBfloat16 : dtype == DType::f16 ? kDnnFloat16 : kDnnFloat;
}

// [outer, axes…, inner] as it lies, told in cuDNN's order: outer, inner, axes….
DnnDescriptor tensor(const DnnApi& api, int64_t id, DType dtype, const std::vector<int64_t>& sizes,
                     bool is_virtual = false) {
  std::vector<int64_t> steps(sizes.size(), 1);
  for (size_t i = sizes.size() - 1; i-- > 0;) steps[i] = steps[i + 1] * sizes[i + 1];
  const auto in_order = [](const std::vector<int64_t>& of) {
    std::vector<int64_t> all{of.front(), of.back()};
    all.insert(all.end(), of.begin() + 1, of.end() - 1);
    return all;
  };
  DnnDescriptor made(api, DnnKind::tensor);
  made.set(DnnAttribute::id, DnnType::integer, id);
  made.set(DnnAttribute::data_type, DnnType::data_type, dnn_type(dtype));
  made.set(DnnAttribute::alignment, DnnType::integer, int64_t{16});
  made.set(DnnAttribute::sizes, DnnType::integer, in_order(sizes));
  made.set(DnnAttribute::steps, DnnType::integer, in_order(steps));
  if (is_virtual) made.set(DnnAttribute::is_virtual, DnnType::boolean, true);
  made.finish();
  return made;
}

int64_t result_of(Kind kind) {
  return kind == Kind::forward ? kY : kind == Kind::input_grad ? kX : kFilters;
}

const std::vector<int64_t>& sizes_of(const ConvolutionShape& shape, int64_t id) {
  return id == kX ? shape.x : id == kFilters ? shape.filters : shape.y;
}

// One of what a convolution reads and writes. Engines that read sixteen bits write such, but where
// another node makes float32 of their sums: these are nowhere.
DnnDescriptor tensor_of(const DnnApi& api, const ConvolutionShape& shape, int64_t id) {
  const auto& sizes = sizes_of(shape, id);
  if (id != result_of(shape.kind)) return tensor(api, id, shape.dtype, sizes);
  if (shape.dtype == DType::f32) return tensor(api, id, DType::f32, sizes);
  return tensor(api, kSums, DType::f32, sizes, true);
}

// A node that leaves its operand as it is.
class DnnIdentity {
 public:
  DnnIdentity(const DnnApi& api, const DnnDescriptor& x, DnnDescriptor y)
      : y_(std::move(y)), what_(api, DnnKind::pointwise), node_(api, DnnKind::pointwise_node) {
    what_.set(DnnAttribute::pointwise_mode, DnnType::pointwise_mode, kIdentity);
    what_.set(DnnAttribute::pointwise_type, DnnType::data_type, kDnnFloat);
    what_.finish();
    node_.set(DnnAttribute::pointwise, what_);
    node_.set(DnnAttribute::pointwise_x, x);
    node_.set(DnnAttribute::pointwise_y, y_);
    node_.finish();
  }

  const DnnDescriptor& node() const { return node_; }

 private:
  DnnDescriptor y_, what_, node_;
};

// The graph of a convolution, and what it is made of.
class DnnGraph {
 public:
  DnnGraph(const DnnApi& api, DnnHandle handle, const ConvolutionShape& shape)
      : x_(tensor_of(api, shape, kX)),
        filters_(tensor_of(api, shape, kFilters)),
        y_(tensor_of(api, shape, kY)),
        windows_(api, DnnKind::convolution),
        node_(api, kind_of(shape.kind)),
        graph_(api, DnnKind::graph) {
    windows_.set(DnnAttribute::compute_type, DnnType::data_type, kDnnFloat);
    windows_.set(DnnAttribute::mode, DnnType::mode, kCrossCorrelation);
    windows_.set(DnnAttribute::axes, DnnType::integer, static_cast<int64_t>(shape.strides.size()));
    windows_.set(DnnAttribute::strides, DnnType::integer, shape.strides);
    windows_.set(DnnAttribute::dilations, DnnType::integer, shape.dilations);
    windows_.set(DnnAttribute::before, DnnType::integer, shape.before);
    windows_.set(DnnAttribute::after, DnnType::integer, shape.after);
    windows_.finish();
    const auto first = [&] {
      switch (shape.kind) {
        case Kind::forward:
          return DnnAttribute::forward_alpha;
        case Kind::input_grad:
          return DnnAttribute::input_grad_alpha;
        case Kind::filter_grad:
          break;
      }
      return DnnAttribute::filter_grad_alpha;
    }();
    const auto behind = [&](int place) {
      return static_cast<DnnAttribute>(static_cast<int>(first) + place);
    };
    node_.set(first, DnnType::real, 1.0F);
    node_.set(behind(kBeta), DnnType::real, 0.0F);
    node_.set(behind(kDescription), windows_);
    node_.set(behind(kOfFilters), filters_);
    node_.set(behind(kOfX), x_);
    node_.set(behind(kOfY), y_);
    node_.finish();
    graph_.set(DnnAttribute::graph_handle, DnnType::handle, handle);
    std::vector<DnnObject> nodes{node_.object()};
    if (shape.dtype != DType::f32) {
      const int64_t id = result_of(shape.kind);
      const DnnDescriptor& sums = id == kX ? x_ : id == kFilters ? filters_ : y_;
      behind_.emplace(api, sums, tensor(api, id, DType::f32, sizes_of(shape, id)));
      nodes.push_back(behind_->node().object());
    }
    graph_.set(DnnAttribute::graph_nodes, DnnType::object, nodes);
    graph_.finish();
  }

  const DnnDescriptor& descriptor() const { return graph_; }

 private:
  static DnnKind kind_of(Kind kind) {
    return kind == Kind::forward      ? DnnKind::forward
           : kind == Kind::input_grad ? DnnKind::input_grad
                                      : DnnKind::filter_grad;
  }

  DnnDescriptor x_, filters_, y_, windows_, node_, graph_;
  std::optional<DnnIdentity> behind_;
};

bool suits(uint32_t notes, const ConvolutionShape& shape) {
  // Transformed operands would be rounded, where those that were given need not be.
  const bool rounded = shape.tf32 || shape.dtype != DType::f32;
  return (notes & kUnfit) == 0 && (notes & (rounded ? kAnyWinograd : kRounding)) == 0;
}

struct DnnPlan final : ConvolutionPlan {
  DnnPlan(const ConvolutionShape& shape, std::unique_ptr<DnnGraph> graph, DnnDescriptor config,
          DnnDescriptor plan, int64_t bytes)
      : ConvolutionPlan(shape),
        graph(std::move(graph)),
        config(std::move(config)),
        plan(std::move(plan)),
        bytes(bytes) {}
  int64_t workspace_bytes() const override { return bytes; }

  std::unique_ptr<DnnGraph> graph;
  DnnDescriptor config, plan;
  int64_t bytes;
};

uint32_t notes_of(const DnnApi& api, const DnnDescriptor& config) {
  const DnnDescriptor engine(api, DnnKind::engine);
  DnnObject object = engine.object();
  config.get(DnnAttribute::engine, DnnType::object, 1, &object);
  int notes[kMostNotes] = {};
  const int64_t count = engine.get(DnnAttribute::notes, DnnType::note, kMostNotes, notes);
  uint32_t bits = 0;
  for (int64_t i = 0; i < std::min<int64_t>(count, kMostNotes); ++i) bits |= 1U << notes[i];
  return bits;
}

// The configurations of engines that a heuristic names.
std::vector<DnnDescriptor> configs_of(const DnnApi& api, const DnnGraph& graph, int heuristic) {
  DnnDescriptor asked(api, DnnKind::heuristic);
  asked.set(DnnAttribute::heuristic_graph, graph.descriptor());
  asked.set(DnnAttribute::heuristic, DnnType::heuristic, heuristic);
  asked.finish();
  const int64_t count = asked.get(DnnAttribute::configs, DnnType::object, 0, nullptr);
  std::vector<DnnDescriptor> configs;
  std::vector<DnnObject> objects;
  for (int64_t i = 0; i < count; ++i) {
    objects.push_back(configs.emplace_back(api, DnnKind::engine_config).object());
  }
  const int64_t got = asked.get(DnnAttribute::configs, DnnType::object, count, objects.data());
  while (static_cast<int64_t>(configs.size()) > got) configs.pop_back();
  return configs;
}

// Throws DriverError that says why there is none.
std::shared_ptr<const ConvolutionPlan> plan_of(const DnnApi& api, DnnHandle handle,
                                               const ConvolutionShape& shape) {
  auto graph = std::make_unique<DnnGraph>(api, handle, shape);
  std::string why = "no engine of it has this shape";
  for (const int heuristic : {kHeuristicA, kHeuristicLast}) {
    try {
      for (DnnDescriptor& config : configs_of(api, *graph, heuristic)) {
        try {
          if (!suits(notes_of(api, config), shape)) {
            why = "no engine of it has the same bits in every run and sums of float32";
            continue;
          }
          DnnDescriptor plan(api, DnnKind::plan);
          plan.set(DnnAttribute::plan_handle, DnnType::handle, handle);
          plan.set(DnnAttribute::plan_config, config);
          plan.finish();
          int64_t bytes = 0;
          plan.get(DnnAttribute::plan_workspace, DnnType::integer, 1, &bytes);
          if (bytes > kMostDnnBytes) {
            why = "it needs " + std::to_string(bytes) + " bytes of workspace";
            continue;
          }
          return std::make_shared<const DnnPlan>(shape, std::move(graph), std::move(config),
                                                 std::move(plan), bytes);
        } catch (const DriverError& error) {
          why = error.what();
        }
      }
    } catch (const DriverError& error) {
      why = error.what();
    }
  }
  throw DriverError(why);
}

}  // namespace

std::unique_ptr<Dnn> Dnn::open(const std::vector<std::string>& names, std::string& why) {
  const Library library = open_library(names, "cudnn");
  if (library.handle == nullptr) {
    why = library.failures;
    return nullptr;
  }
  DnnApi api;
#define SLIM_FUNCTION(name, parameters)                                 \
  api.name = reinterpret_cast<decltype(api.name)>(library.find(#name)); \
  if (api.name == nullptr) {                                            \
    why = "it has no " #name;                                           \
    return nullptr;                                                     \
  }
  SLIM_CUDNN_FUNCTIONS(SLIM_FUNCTION)
  SLIM_FUNCTION(cudnnGetErrorString, )
#undef SLIM_FUNCTION
  DnnHandle handle = nullptr;
  try {
    require_dnn(api, "cudnnCreate", api.cudnnCreate(&handle));
  } catch (const DriverError& error) {
    why = error.what();
    return nullptr;
  }
  return std::unique_ptr<Dnn>(new Dnn(api, handle));
}

Dnn::~Dnn() {
  chosen_.clear();
  api_.cudnnDestroy(handle_);
}

std::string Dnn::description() const {
  const std::lock_guard lock(mutex_);
  std::string text = "cuDNN";
  for (int which = 0; which < 3; ++which) {
    int value = 0;
    api_.cudnnGetProperty(which, &value);
    text += (which == 0 ? ' ' : '.') + std::to_string(value);
  }
  if (refused_ == 0) return text;
  return text + " (of " + std::to_string(chosen_.size()) + " convolutions it refused " +
         std::to_string(refused_) + ", the last: " + why_ + ")";
}

std::shared_ptr<const ConvolutionPlan> Dnn::choose(const ConvolutionShape& shape) {
  const std::lock_guard lock(mutex_);
  const auto [known, is_new] = chosen_.emplace(shape, nullptr);
  if (is_new) {
    try {
      known->second = plan_of(api_, handle_, shape);
    } catch (const DriverError& error) {
      ++refused_;
      why_ = error.what();
    }
  }
  return known->second;
}

std::string Dnn::run(StreamHandle stream, const ConvolutionPlan& plan,
                     const ConvolutionArrays& arrays) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    DnnDescriptor pack(api_, DnnKind::arrays);
    pack.set(DnnAttribute::array_ids, DnnType::integer, std::vector<int64_t>{kX, kFilters, kY});
    pack.set(DnnAttribute::array_pointers, DnnType::pointer,
             std::vector<void*>{arrays.x, arrays.filters, arrays.y});
    pack.set(DnnAttribute::array_workspace, DnnType::pointer, static_cast<void*>(arrays.workspace));
    pack.finish();
    require_dnn(api_, "cudnnSetStream", api_.cudnnSetStream(handle_, stream));
    require_dnn(api_, "cudnnBackendExecute",
                api_.cudnnBackendExecute(handle_, static_cast<const DnnPlan&>(plan).plan.object(),
                                         pack.object()));
    return "";
  } catch (const std::exception& error) {
    return std::string(error.what()) + " (SLIM_CUDA_DNN=0 in the environment does without it)";
  }
}

}  // namespace slim::cuda::nvidia
