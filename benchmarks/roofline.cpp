// Measures this machine's FMA peak and memory bandwidth; compiled and loaded by roofline.py.
#include <omp.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
typedef float Vector __attribute__((vector_size(kBytes)));

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

// FLOP/s of `threads` threads, each with twelve independent chains of fused multiply-adds.
extern "C" double fma_peak(int threads, double seconds) {
  double rate = 0;
#pragma omp parallel num_threads(threads) reduction(+ : rate)
  {
    Vector c[12] = {};
    Vector a = Vector{} + 0.999f, b = Vector{} + 1e-6f;
    int64_t rounds = 0;
    double start = now(), end = start;
    do {
      for (int i = 0; i < 4096; ++i) {
        for (auto& chain : c) chain = chain * a + b;
      }
      rounds += 4096;
      end = now();
    } while (end - start < seconds);
    Vector sum = {};
    for (const auto& chain : c) sum += chain;
    static volatile float sink;
    sink = sum[0];  // or the compiler drops the work
    rate += rounds * 12.0 * 2.0 * (kBytes / sizeof(float)) / (end - start);
  }
  return rate;
}

// Bytes/s of an update-like pass (three streams read, one written) over `bytes` in all.
extern "C" double bandwidth(int threads, int64_t bytes, double seconds) {
  int64_t n = bytes / 4 / static_cast<int64_t>(sizeof(float)) / 16 * 16;
  if (n < 16) n = 16;
  auto* data = static_cast<float*>(std::aligned_alloc(64, n * 4 * sizeof(float)));
  float *w = data, *x = data + n, *y = data + 2 * n, *z = data + 3 * n;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < n; ++i) w[i] = x[i] = y[i] = z[i] = 1.0f;
  int64_t passes = 0;
  double start = now(), end = start;
  do {
#pragma omp parallel num_threads(threads)
    for (int repeat = 0; repeat < 16; ++repeat) {
#pragma omp for simd schedule(static)
      for (int64_t i = 0; i < n; ++i) w[i] = x[i] * 0.5f + y[i] * z[i];
    }
    passes += 16;
    end = now();
  } while (end - start < seconds);
  std::free(data);
  return passes * 4.0 * n * sizeof(float) / (end - start);
}
