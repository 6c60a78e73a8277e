// What is used of NVIDIA's cuDNN 9, declared here: a build needs no CUDA. All of it is descriptors
// with attributes, of which a graph and a plan to run it are made.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/nvidia/api.h"

namespace slim::cuda::nvidia {

using DnnHandle = struct DnnHandleOf*;
using DnnObject = void*;  // cudnnBackendDescriptor_t

// cudnnBackendDescriptorType_t
enum class DnnKind : int {
  pointwise = 0,
  convolution = 1,
  engine = 2,
  engine_config = 3,
  heuristic = 4,
  plan = 5,
  forward = 10,
  filter_grad = 11,
  input_grad = 12,
  pointwise_node = 13,
  graph = 15,
  arrays = 16,  // CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR
  tensor = 17
};

// cudnnBackendAttributeType_t
enum class DnnType : int {
  handle = 0,
  data_type = 1,
  boolean = 2,
  integer = 3,
  real = 4,
  pointer = 6,
  mode = 7,
  heuristic = 8,
  note = 11,
  pointwise_mode = 14,
  object = 15
};

// cudnnBackendAttributeName_t
enum class DnnAttribute : int {
  pointwise_mode = 0,  // CUDNN_ATTR_POINTWISE_…
  pointwise_type = 1,
  compute_type = 100,  // CUDNN_ATTR_CONVOLUTION_…
  mode = 101,
  dilations = 102,
  strides = 103,
  after = 104,
  before = 105,
  axes = 106,
  heuristic = 200,  // CUDNN_ATTR_ENGINEHEUR_…
  heuristic_graph = 201,
  configs = 202,
  engine = 300,       // CUDNN_ATTR_ENGINECFG_ENGINE
  plan_handle = 400,  // CUDNN_ATTR_EXECUTION_PLAN_…
  plan_config = 401,
  plan_workspace = 402,
  forward_alpha = 700,  // CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_… in the order below
  input_grad_alpha = 706,
  filter_grad_alpha = 712,
  pointwise = 750,  // CUDNN_ATTR_OPERATION_POINTWISE_…
  pointwise_x = 751,
  pointwise_b = 752,
  pointwise_y = 753,
  pointwise_t = 758,
  graph_handle = 800,  // CUDNN_ATTR_OPERATIONGRAPH_…
  graph_nodes = 801,
  alignment = 900,  // CUDNN_ATTR_TENSOR_…
  data_type = 901,
  sizes = 902,
  steps = 903,
  id = 906,
  is_virtual = 907,
  by_value = 908,
  array_ids = 1000,  // CUDNN_ATTR_VARIANT_PACK_…
  array_pointers = 1001,
  array_workspace = 1003,
  notes = 1303  // CUDNN_ATTR_ENGINE_NUMERICAL_NOTE
};

// Of each convolution, behind its alpha.
inline constexpr int kBeta = 1, kDescription = 2;
inline constexpr int kOfFilters = 3, kOfX = 4, kOfY = 5;

inline constexpr int kDnnFloat = 0;          // CUDNN_DATA_FLOAT
inline constexpr int kDnnFloat16 = 2;        // CUDNN_DATA_HALF
inline constexpr int kDnnBfloat16 = 9;       // CUDNN_DATA_BFLOAT16
inline constexpr int kDnnBoolean = 11;       // CUDNN_DATA_BOOLEAN
inline constexpr int kCrossCorrelation = 1;  // CUDNN_CROSS_CORRELATION
inline constexpr int kAdd = 0;               // CUDNN_POINTWISE_…
inline constexpr int kMultiply = 1;
inline constexpr int kSubtract = 9;
inline constexpr int kIdentity = 21;
inline constexpr int kLessEqual = 305;    // CUDNN_POINTWISE_CMP_LE
inline constexpr int kSelect = 601;       // CUDNN_POINTWISE_BINARY_SELECT
inline constexpr int kHeuristicA = 3;     // CUDNN_HEUR_MODE_A
inline constexpr int kHeuristicLast = 2;  // CUDNN_HEUR_MODE_FALLBACK

// What an engine says of its numbers: bits of cudnnBackendNumericalNote_t.
enum DnnNote : uint32_t {
  kTensorCore = 1,
  kRoundsOperands = 2,
  kShortSums = 4,  // sums of less than float32
  kFourier = 8,
  kVaries = 16,  // from run to run
  kWinograd = 32,
  kWinograd4 = 64,
  kWinograd6 = 128,
  kWinograd13 = 256
};
inline constexpr int kMostNotes = 32;

// X(name, parameters) of libcudnn; all give a Result.
#define SLIM_CUDNN_FUNCTIONS(X)                                                                  \
  X(cudnnGetProperty, (int which, int* value))                                                   \
  X(cudnnCreate, (DnnHandle * handle))                                                           \
  X(cudnnDestroy, (DnnHandle handle))                                                            \
  X(cudnnSetStream, (DnnHandle handle, StreamHandle stream))                                     \
  X(cudnnBackendCreateDescriptor, (DnnKind kind, DnnObject * object))                            \
  X(cudnnBackendDestroyDescriptor, (DnnObject object))                                           \
  X(cudnnBackendSetAttribute,                                                                    \
    (DnnObject object, DnnAttribute attribute, DnnType type, int64_t count, const void* values)) \
  X(cudnnBackendGetAttribute, (DnnObject object, DnnAttribute attribute, DnnType type,           \
                               int64_t wanted, int64_t* count, void* values))                    \
  X(cudnnBackendFinalize, (DnnObject object))                                                    \
  X(cudnnBackendExecute, (DnnHandle handle, DnnObject plan, DnnObject arrays))

struct DnnApi {
#define SLIM_FUNCTION(name, parameters) Result(*name) parameters = nullptr;
  SLIM_CUDNN_FUNCTIONS(SLIM_FUNCTION)
#undef SLIM_FUNCTION
  const char* (*cudnnGetErrorString)(Result result) = nullptr;
};

}  // namespace slim::cuda::nvidia
