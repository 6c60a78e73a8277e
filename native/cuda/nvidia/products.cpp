// cuBLASLt has its matrices column by column: to it, what lies here is transposed, and so
// resultᵀ = bᵀ·aᵀ is asked of it.
#include "cuda/nvidia/products.h"

#include <map>
#include <mutex>

#include "cuda/nvidia/cublas.h"
#include "cuda/nvidia/library.h"

namespace slim::cuda::nvidia {
namespace {

int blas_type(DType dtype) {
  return dtype == DType::f64    ? kReal64
         : dtype == DType::bf16 ? kBfloat16
         : dtype == DType::f16  ? kFloat16
                                : kReal32;
}

constexpr uint64_t kMostBytes = uint64_t{32} << 20;  // of workspace

class BlasProduct final : public Product {
 public:
  // It is `chosen` if the library does it.
  BlasProduct(const BlasApi& api, BlasHandle handle, const Multiplication& what) : api(api) {
    const bool f64 = what.dtype == DType::f64;
    const int given = blas_type(what.dtype), type = blas_type(what.result_type());
    const int compute = f64 ? kCompute64 : what.tf32 ? kComputeTf32 : kCompute32;
    is_double = f64;
    ok(api.cublasLtMatmulDescCreate(&operation, compute, type));
    const int transposed = kIsTransposed;
    if (what.transpose_b) set(kTransposeA, transposed);
    if (what.transpose_a) set(kTransposeB, transposed);
    const int64_t m = what.m, n = what.n, k = what.k;
    make(&b, given, what.transpose_b ? k : n, what.transpose_b ? n : k, what.b_stride, what.batches,
         what.b_step);
    make(&a, given, what.transpose_a ? m : k, what.transpose_a ? k : m, what.a_stride, what.batches,
         what.a_step);
    make(&result, type, n, m, n, what.batches, m * n);
    if (works) choose(handle, what);
  }
  ~BlasProduct() override {
    for (const BlasLayout layout : {a, b, result}) {
      if (layout != nullptr) api.cublasLtMatrixLayoutDestroy(layout);
    }
    if (operation != nullptr) api.cublasLtMatmulDescDestroy(operation);
  }

  int64_t workspace_bytes() const override { return static_cast<int64_t>(choice.workspace); }

  const BlasApi& api;
  bool works = true;
  bool is_double = false;
  BlasOperation operation = nullptr;
  BlasLayout a = nullptr, b = nullptr, result = nullptr;
  BlasChoice choice{};

 private:
  void ok(Result status) { works = works && status == 0; }
  template <class T>
  void set(int attribute, const T& value) {
    if (works) ok(api.cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof value));
  }
  void make(BlasLayout* layout, int type, int64_t rows, int64_t columns, int64_t leading,
            int64_t batches, int64_t step) {
    if (!works) return;
    ok(api.cublasLtMatrixLayoutCreate(layout, type, static_cast<uint64_t>(rows),
                                      static_cast<uint64_t>(columns), leading));
    const auto count = static_cast<int32_t>(batches);
    if (!works || batches == 1) return;
    ok(api.cublasLtMatrixLayoutSetAttribute(*layout, kBatchCount, &count, sizeof count));
    ok(api.cublasLtMatrixLayoutSetAttribute(*layout, kBatchStep, &step, sizeof step));
  }
  // The first that the heuristic names. Of slices only such that are added in order, apart from
  // the products: the same bits every time.
  void choose(BlasHandle handle, const Multiplication& what) {
    BlasPreference preference = nullptr;
    ok(api.cublasLtMatmulPreferenceCreate(&preference));
    if (!works) return;
    const auto prefer = [&](int attribute, const auto& value) {
      ok(api.cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value));
    };
    prefer(kMostWorkspace, kMostBytes);
    prefer(kReductions, kReduceApart);
    prefer(kLeastAlignmentA, static_cast<uint32_t>(what.b_alignment));
    prefer(kLeastAlignmentB, static_cast<uint32_t>(what.a_alignment));
    for (const int attribute : {kLeastAlignmentC, kLeastAlignmentD}) {
      prefer(attribute, static_cast<uint32_t>(what.result_alignment));
    }
    int count = 0;
    if (works) {
      ok(api.cublasLtMatmulAlgoGetHeuristic(handle, operation, b, a, result, result, preference, 1,
                                            &choice, &count));
    }
    works = works && count > 0 && choice.state == 0;
    api.cublasLtMatmulPreferenceDestroy(preference);
  }
};

class BlasProducts final : public Products {
 public:
  BlasProducts(const Gpu& gpu, const BlasApi& api, BlasHandle handle)
      : gpu_(gpu), api_(api), handle_(handle) {}
  ~BlasProducts() override {
    const Gpu::Inside inside(gpu_);
    api_.cublasLtDestroy(handle_);
  }

  std::string version() const override {
    std::string text = "cuBLASLt";
    for (int which = 0; which < 3; ++which) {
      int value = 0;
      api_.cublasLtGetProperty(which, &value);
      text += (which == 0 ? ' ' : '.') + std::to_string(value);
    }
    return text;
  }

  std::shared_ptr<const Product> choose(const Multiplication& what) override {
    const std::lock_guard lock(mutex_);
    const auto [known, is_new] = chosen_.emplace(what, nullptr);
    if (is_new) {
      const Gpu::Inside inside(gpu_);
      auto product = std::make_shared<const BlasProduct>(api_, handle_, what);
      if (product->works) known->second = std::move(product);
    }
    return known->second;
  }

  void multiply(Stream& stream, const Product& product, const std::byte* a, const std::byte* b,
                std::byte* result, std::byte* workspace) noexcept override {
    if (!takes_work(stream)) return;
    const Gpu::Inside inside(gpu_);
    const auto& of = static_cast<const BlasProduct&>(product);
    const float one = 1, zero = 0;
    const double one_double = 1, zero_double = 0;
    const void* alpha = of.is_double ? static_cast<const void*>(&one_double) : &one;
    const void* beta = of.is_double ? static_cast<const void*>(&zero_double) : &zero;
    const Result status = api_.cublasLtMatmul(
        handle_, of.operation, alpha, b, of.b, a, of.a, beta, result, of.result, result, of.result,
        &of.choice.algorithm, workspace, of.choice.workspace, handle_of(stream));
    if (status == 0) return;
    refuse(stream, "cublasLtMatmul: status " + std::to_string(status) +
                       " (SLIM_CUDA_LIBRARY=0 does without it)");
  }

 private:
  const Gpu& gpu_;
  const BlasApi api_;
  BlasHandle handle_;
  std::mutex mutex_;
  std::map<Multiplication, std::shared_ptr<const BlasProduct>> chosen_;
};

}  // namespace

std::unique_ptr<Products> open_products(const Gpu& gpu, int driver_version) {
  std::vector<std::string> names{"libcublasLt.so.13", "libcublasLt.so.12"};
  if (driver_version < 13000) names.erase(names.begin());
  const Library library = open_library(names, "cublas");
  if (library.handle == nullptr) return nullptr;
  BlasApi api;
#define SLIM_FUNCTION(name, parameters)                                 \
  api.name = reinterpret_cast<decltype(api.name)>(library.find(#name)); \
  if (api.name == nullptr) return nullptr;
  SLIM_CUBLAS_FUNCTIONS(SLIM_FUNCTION)
#undef SLIM_FUNCTION
  const Gpu::Inside inside(gpu);
  BlasHandle handle = nullptr;
  if (api.cublasLtCreate(&handle) != 0) return nullptr;
  return std::make_unique<BlasProducts>(gpu, api, handle);
}

}  // namespace slim::cuda::nvidia
