// What is used of NVIDIA's cuBLASLt, declared here: a build needs no CUDA.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/nvidia/api.h"

namespace slim::cuda::nvidia {

using BlasHandle = struct BlasOf*;
using BlasOperation = struct BlasOperationOf*;
using BlasLayout = struct BlasLayoutOf*;
using BlasPreference = struct BlasPreferenceOf*;

// cublasLtMatmulAlgo_t, cublasLtMatmulHeuristicResult_t
struct BlasAlgorithm {
  uint64_t data[8];
};
struct BlasChoice {
  BlasAlgorithm algorithm;
  size_t workspace;
  Result state;
  float waves;
  int reserved[4];
};

inline constexpr int kReal32 = 0;           // CUDA_R_32F
inline constexpr int kReal64 = 1;           // CUDA_R_64F
inline constexpr int kFloat16 = 2;          // CUDA_R_16F
inline constexpr int kBfloat16 = 14;        // CUDA_R_16BF
inline constexpr int kCompute32 = 68;       // CUBLAS_COMPUTE_32F
inline constexpr int kComputeTf32 = 77;     // CUBLAS_COMPUTE_32F_FAST_TF32
inline constexpr int kCompute64 = 70;       // CUBLAS_COMPUTE_64F
inline constexpr int kTransposeA = 3;       // CUBLASLT_MATMUL_DESC_TRANSA
inline constexpr int kTransposeB = 4;       // CUBLASLT_MATMUL_DESC_TRANSB
inline constexpr int kIsTransposed = 1;     // CUBLAS_OP_T
inline constexpr int kBatchCount = 5;       // CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT
inline constexpr int kBatchStep = 6;        // CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET
inline constexpr int kMostWorkspace = 1;    // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
inline constexpr int kReductions = 3;       // CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK
inline constexpr int kLeastAlignmentA = 5;  // CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES
inline constexpr int kLeastAlignmentB = 6;
inline constexpr int kLeastAlignmentC = 7;
inline constexpr int kLeastAlignmentD = 8;
inline constexpr unsigned int kReduceApart = 2;  // CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE

// X(name, parameters) of libcublasLt; all give a Result.
#define SLIM_CUBLAS_FUNCTIONS(X)                                                               \
  X(cublasLtCreate, (BlasHandle * handle))                                                     \
  X(cublasLtDestroy, (BlasHandle handle))                                                      \
  X(cublasLtGetProperty, (int which, int* value))                                              \
  X(cublasLtMatmulDescCreate, (BlasOperation * operation, int compute, int scale))             \
  X(cublasLtMatmulDescDestroy, (BlasOperation operation))                                      \
  X(cublasLtMatmulDescSetAttribute,                                                            \
    (BlasOperation operation, int attribute, const void* value, size_t bytes))                 \
  X(cublasLtMatrixLayoutCreate,                                                                \
    (BlasLayout * layout, int type, uint64_t rows, uint64_t columns, int64_t leading))         \
  X(cublasLtMatrixLayoutDestroy, (BlasLayout layout))                                          \
  X(cublasLtMatrixLayoutSetAttribute,                                                          \
    (BlasLayout layout, int attribute, const void* value, size_t bytes))                       \
  X(cublasLtMatmulPreferenceCreate, (BlasPreference * preference))                             \
  X(cublasLtMatmulPreferenceDestroy, (BlasPreference preference))                              \
  X(cublasLtMatmulPreferenceSetAttribute,                                                      \
    (BlasPreference preference, int attribute, const void* value, size_t bytes))               \
  X(cublasLtMatmulAlgoGetHeuristic,                                                            \
    (BlasHandle handle, BlasOperation operation, BlasLayout a, BlasLayout b, BlasLayout c,     \
     BlasLayout d, BlasPreference preference, int wanted, BlasChoice* choices, int* count))    \
  X(cublasLtMatmul,                                                                            \
    (BlasHandle handle, BlasOperation operation, const void* alpha, const void* a,             \
     BlasLayout a_layout, const void* b, BlasLayout b_layout, const void* beta, const void* c, \
     BlasLayout c_layout, void* d, BlasLayout d_layout, const BlasAlgorithm* algorithm,        \
     void* workspace, size_t bytes, StreamHandle stream))

struct BlasApi {
#define SLIM_FUNCTION(name, parameters) Result(*name) parameters = nullptr;
  SLIM_CUBLAS_FUNCTIONS(SLIM_FUNCTION)
#undef SLIM_FUNCTION
};

}  // namespace slim::cuda::nvidia
