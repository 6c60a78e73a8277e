// A heuristic names engines that compute a graph, the best first; the first that suits becomes the
// plan. None is timed: what is chosen is the same in every run.
#include "cuda/nvidia/dnn.h"

#include "cuda/nvidia/dnn_graph.h"
#include "cuda/nvidia/dnn_object.h"
#include "cuda/nvidia/library.h"

namespace slim::cuda::nvidia {
namespace {

constexpr int64_t kMostDnnBytes = int64_t{512} << 20;  // of workspace
// Engines that do not give the same bits in every run, or whose sums are far from float32's.
constexpr uint32_t kUnfit = kShortSums | kFourier | kVaries | kWinograd6 | kWinograd13;
constexpr uint32_t kRounding = kTensorCore | kRoundsOperands;
constexpr uint32_t kAnyWinograd = kWinograd | kWinograd4 | kWinograd6 | kWinograd13;

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
  // With steps behind it only what the heuristic itself names: an engine of the last resort may
  // take longer than the convolution alone, with a kernel of ours behind it.
  for (const int heuristic : {kHeuristicA, kHeuristicLast}) {
    if (heuristic == kHeuristicLast && !shape.behind.empty()) break;
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
  return text + " (of " + std::to_string(asked_) + " convolutions it refused " +
         std::to_string(refused_) + ", the last: " + why_ + ")";
}

std::shared_ptr<const ConvolutionPlan> Dnn::choose(const ConvolutionShape& shape) {
  const std::lock_guard lock(mutex_);
  const auto [known, is_new] = chosen_.emplace(shape, nullptr);
  if (is_new) {
    const bool alone = shape.behind.empty();  // others are asked for again without what is behind
    asked_ += alone;
    try {
      known->second = plan_of(api_, handle_, shape);
    } catch (const DriverError& error) {
      if (!alone) return nullptr;
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
    const DnnArrays all = arrays_of(plan.shape, arrays);
    pack.set(DnnAttribute::array_ids, DnnType::integer, all.ids);
    pack.set(DnnAttribute::array_pointers, DnnType::pointer, all.pointers);
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
