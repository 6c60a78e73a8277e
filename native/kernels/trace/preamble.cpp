// The helpers of printed functions in C and in CUDA: bits of numbers, fma, totals.
#include "kernels/trace/preamble.h"

#include "kernels/tape.h"

namespace slim {

namespace {

constexpr const char* kHeadC =
    R"(/* C99 from slimlearn. Compile without contraction: -std=c99 or -ffp-contract=off. */
#include <math.h>
#include <stdint.h>
#include <string.h>
)";

constexpr const char* kHeadCuda =
    R"(// CUDA from slimlearn. Compile without contraction: --fmad=false; denormals: --ftz=true.
#ifdef __CUDACC_RTC__
typedef unsigned char uint8_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#else
#include <math.h>
#include <stdint.h>
#endif
#ifndef SLIM_FIRST
#define SLIM_FIRST ((int64_t)blockIdx.x * blockDim.x + threadIdx.x)
#define SLIM_STEP ((int64_t)gridDim.x * blockDim.x)
#endif
)";

// Each as (word that asks for it, text).
struct Helper {
  const char* word;
  const char* c;
  const char* cuda;
};

constexpr Helper kHelpers[] = {
    {"slim_fma",
     R"(
#ifdef SLIM_NO_FMA /* two roundings, as the kernels of a machine that has none */
#define slim_fmaf(a, b, c) ((a) * (b) + (c))
#define slim_fma(a, b, c) ((a) * (b) + (c))
#else
#define slim_fmaf(a, b, c) fmaf(a, b, c)
#define slim_fma(a, b, c) fma(a, b, c)
#endif
)",
     R"(
#define slim_fmaf(a, b, c) __fmaf_rn(a, b, c)
#define slim_fma(a, b, c) __fma_rn(a, b, c)
)"},
    {"slim_as_i32",
     R"(
static int32_t slim_as_i32(float x) {
  int32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
)",
     "\n#define slim_as_i32(x) __float_as_int(x)\n"},
    {"slim_as_f32",
     R"(
static float slim_as_f32(int32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
)",
     "\n#define slim_as_f32(x) __int_as_float(x)\n"},
    {"slim_as_i64",
     R"(
static int64_t slim_as_i64(double x) {
  int64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
)",
     "\n#define slim_as_i64(x) (int64_t)__double_as_longlong(x)\n"},
    {"slim_as_f64",
     R"(
static double slim_as_f64(int64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
)",
     "\n#define slim_as_f64(x) __longlong_as_double(x)\n"},
    {"slim_whole_u8",
     R"(
static uint8_t slim_whole_u8(double x) {
  return x >= 255.0 ? 255 : x > 0.0 ? (uint8_t)x : 0;
}
)",
     R"(
static __device__ inline uint8_t slim_whole_u8(double x) {
  return x >= 255.0 ? 255 : x > 0.0 ? (uint8_t)x : 0;
}
)"},
    {"slim_whole_i32",
     R"(
static int32_t slim_whole_i32(double x) {
  return x >= 2147483647.0 ? 2147483647 : x > -2147483648.0 ? (int32_t)x : -2147483647 - 1;
}
)",
     R"(
static __device__ inline int32_t slim_whole_i32(double x) {
  return x >= 2147483647.0 ? 2147483647 : x > -2147483648.0 ? (int32_t)x : -2147483647 - 1;
}
)"},
    {"slim_whole_i64",
     R"(
static int64_t slim_whole_i64(double x) {
  return x >= 9223372036854775808.0 ? 9223372036854775807LL : x > -9223372036854775808.0 ? (int64_t)x : -9223372036854775807LL - 1;
}
)",
     R"(
static __device__ inline int64_t slim_whole_i64(double x) {
  return x >= 9223372036854775808.0 ? 9223372036854775807LL : x > -9223372036854775808.0 ? (int64_t)x : -9223372036854775807LL - 1;
}
)"},
};

// CELLS and RUN are filled in. CUDA has no totals.
constexpr const char* kTotals = R"(
typedef struct {
  double total, cells[CELLS], block[CELLS];
  int64_t elements, blocks;
} slim_total;

static void slim_add(slim_total *sum, double x) { sum->block[sum->elements++ % CELLS] += x; }

static void slim_drain(slim_total *sum) {
  for (int half = CELLS / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) sum->cells[i] += sum->cells[i + half];
  }
  sum->total += sum->cells[0];
  memset(sum->cells, 0, sizeof sum->cells);
  sum->blocks = 0;
}

static void slim_end_block(slim_total *sum) {
  for (int i = 0; i < CELLS; ++i) sum->cells[i] += sum->block[i];
  memset(sum->block, 0, sizeof sum->block);
  sum->elements = 0;
  if (++sum->blocks == RUN) slim_drain(sum);
}
)";

std::string replaced(std::string text, const std::string& word, const std::string& with) {
  for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + with.size())) {
    text.replace(at, word.size(), with);
  }
  return text;
}

}  // namespace

std::string preamble(const std::string& body, Dialect dialect) {
  const bool cuda = dialect == Dialect::cuda;
  std::string head = cuda ? kHeadCuda : kHeadC;
  for (const Helper& helper : kHelpers) {
    if (body.find(helper.word) != body.npos) head += cuda ? helper.cuda : helper.c;
  }
  if (body.find("slim_total") == body.npos) return head;
  const std::string totals = replaced(kTotals, "CELLS", std::to_string(kTapeCells));
  return head + replaced(totals, "RUN", std::to_string(kTapeRun));
}

}  // namespace slim
