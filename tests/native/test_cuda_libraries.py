"""NVIDIA's libraries: missing ones are told, declarations and kernels fit them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.cuda import CUDA
from support.op_cases import CASES

from slimlearn.backend import engine
from slimlearn.backend.engine.native import native
from slimlearn.backend.graph.rounding import COMPUTE_TYPES
from slimlearn.backend.resident import Resident
from slimlearn.backend.text import print_program

ROOT = Path(__file__).resolve().parents[2]
GPU = CUDA == "cuda"

# -- a driver that is not there, or not as it should be --------------------------------


def in_a_process(script: str, **variables) -> str:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from slimlearn.backend.engine.native import native\n" + script,
        ],
        **{"capture_output": True, "text": True, "check": True},
        env=os.environ | variables,
    )
    return done.stdout


LIBCUDA = """
#define SAY(name) int name() {{ return 0; }}
{}
int cuDriverGetVersion(int* version) {{ *version = {}; return 0; }}
int cuInit(unsigned flags) {{ return {}; }}
int cuGetErrorName(int r, const char** name) {{ *name = "CUDA_ERROR_X"; return 0; }}
int cuGetErrorString(int r, const char** words) {{ *words = "some words"; return 0; }}
int cuDeviceGetCount(int* count) {{ *count = {}; return 0; }}
"""


def driver_functions() -> set[str]:
    header = (ROOT / "native/cuda/nvidia/api.h").read_text()
    listed = header.split("SLIM_DRIVER_FUNCTIONS(X)")[1].split("#define SLIM_NVRTC")[0]
    return {word.split(",")[0] for word in listed.split("X(")[1:]}


@pytest.mark.skipif(GPU or not shutil.which("cc"), reason="needs a C compiler, no GPU")
@pytest.mark.parametrize(
    "version, init, count, without, device, words",
    [
        (11040, 0, 1, "", "cuda", "driver is of CUDA 11.4, but CUDA 12.0 or newer"),
        (12000, 0, 1, "cuGraphUpload", "cuda", "12.0, without cuGraphUpload, but"),
        (
            13000,
            100,
            0,
            "",
            "cuda",
            'no GPU that CUDA sees (CUDA_VISIBLE_DEVICES is "7',
        ),
        (13000, 803, 0, "", "cuda", "start the machine again"),
        (
            13000,
            999,
            0,
            "",
            "cuda",
            "does not start, cuInit: CUDA_ERROR_X (some words)",
        ),
        (13000, 0, 1, "", "cuda:1", "there is no GPU 1, this machine has 1: use"),
        (
            13000,
            0,
            2,
            "",
            "cuda:5",
            'this machine has 2, numbered from 0: use device="',
        ),
        (13000, 0, 1, "", "cuda:x", "cuda: needs a number behind it"),
    ],
)
def test_a_driver_that_does_not_do(
    version, init, count, without, device, words, tmp_path
):
    known = {*driver_functions()} - {without} - {"cuInit", "cuDriverGetVersion"}
    known -= {"cuGetErrorName", "cuGetErrorString", "cuDeviceGetCount"}
    says = "\n".join(f"SAY({name})" for name in sorted(known))
    (tmp_path / "cuda.c").write_text(LIBCUDA.format(says, version, init, count))
    library = tmp_path / "libcuda.so.1"
    command = ["cc", "-shared", "-fPIC", "-o", library, tmp_path / "cuda.c"]
    subprocess.run(command, check=True)
    got = in_a_process(
        f"try: native.describe_device({device!r})\n"
        "except ValueError as error: print(error)",
        LD_LIBRARY_PATH=str(tmp_path),
        CUDA_VISIBLE_DEVICES="7",
    )
    assert f"device {device} is not there: " in got and words in got


@pytest.mark.skipif(GPU, reason="there is a GPU")
def test_without_a_driver():
    with pytest.raises(ValueError, match=r"driver is not installed \(libcuda.so.1: .*"):
        native.describe_device("cuda")


# -- NVIDIA's compiler and headers, where they are at hand -----------------------------


def nvidia_folders(what: str) -> list[Path]:
    from importlib.util import find_spec

    spec = find_spec("nvidia")
    places = spec.submodule_search_locations if spec else ()
    roots = [Path("/usr/local/cuda")]
    roots += [Path(place) / name for place in places for name in ("cu13", "cudnn")]
    return [root / what for root in roots if (root / what).is_dir()]


API_TEST = """
#include <cstddef>
#include <cuda.h>
#include <nvrtc.h>
#include <type_traits>
#include "cuda/nvidia/api.h"
template <class A, class B>
constexpr bool alike() {
  if (std::is_pointer_v<A> || std::is_pointer_v<B>) {
    return std::is_pointer_v<A> && std::is_pointer_v<B>;
  }
  return sizeof(A) == sizeof(B);
}
template <class A, class B>
struct Functions;
template <class R, class... A, class S, class... B>
struct Functions<R (*)(A...), S (*)(B...)> {
  static constexpr bool alike_all() {
    if constexpr (sizeof...(A) != sizeof...(B)) {
      return false;
    } else {
      return alike<R, S>() && (alike<A, B>() && ...);
    }
  }
};
namespace own = slim::cuda::nvidia;
#define TEST(api, name)                                                            \\
  static_assert(                                                                   \\
      Functions<decltype(&::name), decltype(own::api::name)>::alike_all(), #name);
#define DRIVER(name, parameters) TEST(DriverApi, name)
#define NVRTC(name, parameters) TEST(NvrtcApi, name)
SLIM_DRIVER_FUNCTIONS(DRIVER)
SLIM_NVRTC_FUNCTIONS(NVRTC)
static_assert(own::kOutOfMemory == CUDA_ERROR_OUT_OF_MEMORY);
static_assert(own::kNoDevice == CUDA_ERROR_NO_DEVICE);
static_assert(own::kDriverMismatch == CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
static_assert(own::kMultiprocessors == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
static_assert(own::kComputeMajor == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
static_assert(own::kComputeMinor == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
static_assert(own::kMostShared ==
              CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
static_assert(own::kDynamicSharedOf == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
static_assert(own::kNonBlocking == CU_STREAM_NON_BLOCKING);
static_assert(own::kNoTimes == CU_EVENT_DISABLE_TIMING);
static_assert(own::kThreadLocal == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
static_assert(own::kLargeClusters ==
              CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED);
using Attribute = own::LaunchAttribute;
static_assert(int(Attribute::cooperative) == CU_LAUNCH_ATTRIBUTE_COOPERATIVE);
static_assert(int(Attribute::cluster) == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
static_assert(sizeof(Attribute) == sizeof(CUlaunchAttribute));
static_assert(offsetof(Attribute, all) == offsetof(CUlaunchAttribute, value));
static_assert(sizeof(CUlaunchAttributeValue) == sizeof(Attribute::all));
using Config = own::LaunchConfig;
static_assert(sizeof(Config) == sizeof(CUlaunchConfig));
static_assert(offsetof(Config, block) == offsetof(CUlaunchConfig, blockDimX));
static_assert(offsetof(Config, shared) == offsetof(CUlaunchConfig, sharedMemBytes));
static_assert(offsetof(Config, stream) == offsetof(CUlaunchConfig, hStream));
static_assert(offsetof(Config, attributes) == offsetof(CUlaunchConfig, attrs));
static_assert(offsetof(Config, count) == offsetof(CUlaunchConfig, numAttrs));
"""


BLAS_TEST = """
#include <cublasLt.h>
#include "cuda/nvidia/cublas.h"
#define CUBLAS(name, parameters) TEST(BlasApi, name)
SLIM_CUBLAS_FUNCTIONS(CUBLAS)
static_assert(sizeof(own::BlasChoice) == sizeof(cublasLtMatmulHeuristicResult_t));
#define OFFSET(own_name, name)                    \\
  static_assert(offsetof(own::BlasChoice, own_name) == \\
                offsetof(cublasLtMatmulHeuristicResult_t, name));
OFFSET(algorithm, algo)
OFFSET(workspace, workspaceSize)
OFFSET(state, state)
static_assert(own::kReal32 == CUDA_R_32F && own::kReal64 == CUDA_R_64F);
static_assert(own::kFloat16 == CUDA_R_16F && own::kBfloat16 == CUDA_R_16BF);
static_assert(own::kCompute32 == CUBLAS_COMPUTE_32F);
static_assert(own::kComputeTf32 == CUBLAS_COMPUTE_32F_FAST_TF32);
static_assert(own::kCompute64 == CUBLAS_COMPUTE_64F);
static_assert(own::kTransposeA == CUBLASLT_MATMUL_DESC_TRANSA);
static_assert(own::kTransposeB == CUBLASLT_MATMUL_DESC_TRANSB);
static_assert(own::kIsTransposed == CUBLAS_OP_T);
static_assert(own::kBatchCount == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
static_assert(own::kBatchStep == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
static_assert(own::kMostWorkspace == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
static_assert(own::kReductions == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
static_assert(own::kLeastAlignmentA == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
static_assert(own::kLeastAlignmentB == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
static_assert(own::kLeastAlignmentC == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
static_assert(own::kLeastAlignmentD == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
static_assert(own::kReduceApart == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
"""


DNN_TEST = """
#include <cudnn.h>
#include "cuda/nvidia/cudnn.h"
#define CUDNN(name, parameters) TEST(DnnApi, name)
SLIM_CUDNN_FUNCTIONS(CUDNN)
TEST(DnnApi, cudnnGetErrorString)
template <class Own>
constexpr bool same(Own own, int number) {
  return sizeof(Own) == sizeof(int) && static_cast<int>(own) == number;
}
#define SAME(own_name, name) static_assert(same(own::own_name, name), #name);
#define KIND(own_name, name) SAME(DnnKind::own_name, CUDNN_BACKEND_##name##_DESCRIPTOR)
KIND(pointwise, POINTWISE)
KIND(pointwise_node, OPERATION_POINTWISE)
KIND(convolution, CONVOLUTION)
KIND(engine, ENGINE)
KIND(engine_config, ENGINECFG)
KIND(heuristic, ENGINEHEUR)
KIND(plan, EXECUTION_PLAN)
KIND(forward, OPERATION_CONVOLUTION_FORWARD)
KIND(filter_grad, OPERATION_CONVOLUTION_BACKWARD_FILTER)
KIND(input_grad, OPERATION_CONVOLUTION_BACKWARD_DATA)
KIND(graph, OPERATIONGRAPH)
KIND(arrays, VARIANT_PACK)
KIND(tensor, TENSOR)
#define TYPE(own_name, name) SAME(DnnType::own_name, CUDNN_TYPE_##name)
TYPE(handle, HANDLE)
TYPE(data_type, DATA_TYPE)
TYPE(boolean, BOOLEAN)
TYPE(pointwise_mode, POINTWISE_MODE)
TYPE(integer, INT64)
TYPE(real, FLOAT)
TYPE(pointer, VOID_PTR)
TYPE(mode, CONVOLUTION_MODE)
TYPE(heuristic, HEUR_MODE)
TYPE(note, NUMERICAL_NOTE)
TYPE(object, BACKEND_DESCRIPTOR)
#define ATTRIBUTE(own_name, name) SAME(DnnAttribute::own_name, CUDNN_ATTR_##name)
ATTRIBUTE(compute_type, CONVOLUTION_COMP_TYPE)
ATTRIBUTE(mode, CONVOLUTION_CONV_MODE)
ATTRIBUTE(pointwise_mode, POINTWISE_MODE)
ATTRIBUTE(pointwise_type, POINTWISE_MATH_PREC)
ATTRIBUTE(pointwise, OPERATION_POINTWISE_PW_DESCRIPTOR)
ATTRIBUTE(pointwise_x, OPERATION_POINTWISE_XDESC)
ATTRIBUTE(pointwise_b, OPERATION_POINTWISE_BDESC)
ATTRIBUTE(pointwise_y, OPERATION_POINTWISE_YDESC)
ATTRIBUTE(pointwise_t, OPERATION_POINTWISE_TDESC)
ATTRIBUTE(is_virtual, TENSOR_IS_VIRTUAL)
ATTRIBUTE(by_value, TENSOR_IS_BY_VALUE)
ATTRIBUTE(dilations, CONVOLUTION_DILATIONS)
ATTRIBUTE(strides, CONVOLUTION_FILTER_STRIDES)
ATTRIBUTE(after, CONVOLUTION_POST_PADDINGS)
ATTRIBUTE(before, CONVOLUTION_PRE_PADDINGS)
ATTRIBUTE(axes, CONVOLUTION_SPATIAL_DIMS)
ATTRIBUTE(heuristic, ENGINEHEUR_MODE)
ATTRIBUTE(heuristic_graph, ENGINEHEUR_OPERATION_GRAPH)
ATTRIBUTE(configs, ENGINEHEUR_RESULTS)
ATTRIBUTE(engine, ENGINECFG_ENGINE)
ATTRIBUTE(plan_handle, EXECUTION_PLAN_HANDLE)
ATTRIBUTE(plan_config, EXECUTION_PLAN_ENGINE_CONFIG)
ATTRIBUTE(plan_workspace, EXECUTION_PLAN_WORKSPACE_SIZE)
ATTRIBUTE(graph_handle, OPERATIONGRAPH_HANDLE)
ATTRIBUTE(graph_nodes, OPERATIONGRAPH_OPS)
ATTRIBUTE(alignment, TENSOR_BYTE_ALIGNMENT)
ATTRIBUTE(data_type, TENSOR_DATA_TYPE)
ATTRIBUTE(sizes, TENSOR_DIMENSIONS)
ATTRIBUTE(steps, TENSOR_STRIDES)
ATTRIBUTE(id, TENSOR_UNIQUE_ID)
ATTRIBUTE(array_ids, VARIANT_PACK_UNIQUE_IDS)
ATTRIBUTE(array_pointers, VARIANT_PACK_DATA_POINTERS)
ATTRIBUTE(array_workspace, VARIANT_PACK_WORKSPACE)
ATTRIBUTE(notes, ENGINE_NUMERICAL_NOTE)
#define NODE(alpha, prefix, x, filters, y)                               \\
  constexpr int alpha##_first = CUDNN_ATTR_OPERATION_CONVOLUTION_##prefix##ALPHA; \\
  ATTRIBUTE(alpha, OPERATION_CONVOLUTION_##prefix##ALPHA)                 \\
  PLACE(alpha, kBeta, prefix##BETA)                                       \\
  PLACE(alpha, kDescription, prefix##CONV_DESC)                           \\
  PLACE(alpha, kOfFilters, prefix##filters)                               \\
  PLACE(alpha, kOfX, prefix##x)                                           \\
  PLACE(alpha, kOfY, prefix##y)
#define PLACE(alpha, place, name) \\
  static_assert(alpha##_first + own::place == CUDNN_ATTR_OPERATION_CONVOLUTION_##name);
NODE(forward_alpha, FORWARD_, X, W, Y)
NODE(input_grad_alpha, BWD_DATA_, DX, W, DY)
NODE(filter_grad_alpha, BWD_FILTER_, X, DW, DY)
SAME(kDnnFloat, CUDNN_DATA_FLOAT)
SAME(kDnnFloat16, CUDNN_DATA_HALF)
SAME(kDnnBfloat16, CUDNN_DATA_BFLOAT16)
SAME(kCrossCorrelation, CUDNN_CROSS_CORRELATION)
SAME(kAdd, CUDNN_POINTWISE_ADD)
SAME(kMultiply, CUDNN_POINTWISE_MUL)
SAME(kSubtract, CUDNN_POINTWISE_SUB)
SAME(kIdentity, CUDNN_POINTWISE_IDENTITY)
SAME(kLessEqual, CUDNN_POINTWISE_CMP_LE)
SAME(kSelect, CUDNN_POINTWISE_BINARY_SELECT)
SAME(kDnnBoolean, CUDNN_DATA_BOOLEAN)
SAME(kHeuristicA, CUDNN_HEUR_MODE_A)
SAME(kHeuristicLast, CUDNN_HEUR_MODE_FALLBACK)
#define NOTE(own_name, name) \\
  static_assert(own::own_name == 1U << CUDNN_NUMERICAL_NOTE_##name);
NOTE(kTensorCore, TENSOR_CORE)
NOTE(kRoundsOperands, DOWN_CONVERT_INPUTS)
NOTE(kShortSums, REDUCED_PRECISION_REDUCTION)
NOTE(kFourier, FFT)
NOTE(kVaries, NONDETERMINISTIC)
NOTE(kWinograd, WINOGRAD)
NOTE(kWinograd4, WINOGRAD_TILE_4x4)
NOTE(kWinograd6, WINOGRAD_TILE_6x6)
NOTE(kWinograd13, WINOGRAD_TILE_13x13)
static_assert(own::kMostNotes >= CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
"""


def test_declarations_are_those_of_cudnn(tmp_path):
    folders = nvidia_folders("include")
    if not any((folder / "cudnn.h").exists() for folder in folders):
        pytest.skip("cudnn.h is not here")
    test_declarations_are_those_of_cuda(tmp_path, API_TEST + DNN_TEST)


def test_declarations_are_those_of_cublas(tmp_path):
    folders = nvidia_folders("include")
    if not any((folder / "cublasLt.h").exists() for folder in folders):
        pytest.skip("cublasLt.h is not here")
    test_declarations_are_those_of_cuda(tmp_path, API_TEST + BLAS_TEST)


def test_declarations_are_those_of_cuda(tmp_path, text=API_TEST):
    folders = nvidia_folders("include")
    for header in ("cuda.h", "nvrtc.h"):
        if not any((folder / header).exists() for folder in folders):
            pytest.skip(f"{header} is not here")
    (tmp_path / "api.cpp").write_text(text)
    includes = [f"-I{folder}" for folder in (ROOT / "native", *folders)]
    command = ["c++", "-std=c++20", "-fsyntax-only", *includes, tmp_path / "api.cpp"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def with_nvrtc():
    if GPU:
        pytest.skip("there every kernel that runs was compiled by it")
    try:
        native.register_emulated_device("emulated with NVRTC", nvrtc=True)
    except RuntimeError as error:
        assert 'pip install "slimlearn[cuda13]"' in str(error)
        pytest.skip("NVRTC is not here")
    return "emulated with NVRTC"


@pytest.mark.parametrize("op", CASES)
def test_nvrtc_takes_the_kernels_of_every_op(op, with_nvrtc):
    for case in CASES[op]:
        for precision in ("f32", "f64"):
            text = print_program(case.model(precision))
            try:
                engine.compile(text, device=with_nvrtc).info("f", 3)
            except ValueError as error:
                assert "there is no kernel" in str(error)


@pytest.mark.parametrize("compute", COMPUTE_TYPES)
@pytest.mark.parametrize("way", ["whole", "library, refused"])
def test_nvrtc_takes_the_kernels_of_sixteen_bits(compute, way, with_nvrtc, monkeypatch):
    device = with_nvrtc
    if way != "whole":
        monkeypatch.setenv("SLIM_CUDA_LIBRARY", "1")
        device = f"emulated with NVRTC, {compute} widened"
        native.register_emulated_device(device, nvrtc=True, sixteen_bits=False)
    for op in ("matmul", "convolution", "convolution_filter_grad"):
        model = CASES[op][0].model("f32")
        model.compute = compute
        assert engine.compile(print_program(model), device=device).info("f", 3)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i4", "u1", "u8", "?"])
def test_nvrtc_takes_the_kernels_for_arrays_of_others(dtype, with_nvrtc):
    dtype, pointer = np.dtype(dtype), native.emulated_allocate(with_nvrtc, 96)
    try:
        lies = Resident(
            with_nvrtc, pointer, (3, 4), (4 * dtype.itemsize, dtype.itemsize), dtype, 0
        )
        assert lies.is_finite == (dtype.kind != "f")  # what is fresh is NaN, or -1
        for other in ("f4", "f8", "i4", "i8", "u1", "?"):
            assert lies.astype(other).shape == (3, 4)
        assert lies[[2, 0]].shape == (2, 4)
    finally:
        native.emulated_release(with_nvrtc, pointer)
