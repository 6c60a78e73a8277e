// Philox4x32-10 (Salmon et al., 2011), scalar or several counters at once, and what its
// words mean as numbers. The random bits of a value depend on (seed, stream, step, row,
// column) only: never on the batch's size, the place in it, the threads or the device.
// A program's counter: word 0 the block of columns, word 1 the row (of a value of c·B rows
// first_row·c + row), words 2 and 3 the time: 40 bits of step and above them 24 bits for the
// iteration of the loop around the op, 0 outside of loops. Where loops are nested, those around
// that one change the seed (runtime/call/loop_time.h).
#pragma once

#ifdef __CUDACC_RTC__  // a part of kernels' texts (cuda/kernels): no headers, no host
#define SLIM_DEVICE __device__
#else
#include <cstdint>
#define SLIM_DEVICE
#endif

namespace slim {

template <class Lane>
struct PhiloxWords {
  Lane word[4];  // each in the low half of its lanes; the high halves are noise
};

inline constexpr int kPhiloxRounds = 10;

struct PhiloxKeys {
  uint32_t seed, stream;

  SLIM_DEVICE uint64_t first(int round) const {
    return seed + 0x9E3779B9u * static_cast<uint32_t>(round);
  }
  SLIM_DEVICE uint64_t second(int round) const {
    return stream + 0xBB67AE85u * static_cast<uint32_t>(round);
  }
};

// One counter or several, a word in the low half of a 64-bit lane. multiply(lane, factor) is
// the 64-bit product of the low half and a factor; keys are PhiloxKeys or have them ready.
template <class Lane, class Keys, class Multiply>
SLIM_DEVICE static inline PhiloxWords<Lane> philox_rounds(Lane c0, Lane c1, Lane c2, Lane c3,
                                                          const Keys& keys, Multiply multiply) {
#ifdef __CUDACC_RTC__
#pragma unroll
#else
#pragma GCC unroll 10
#endif
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const Lane p0 = multiply(c0, 0xD2511F53u);
    const Lane p1 = multiply(c2, 0xCD9E8D57u);
    c0 = (p1 >> 32) ^ c1 ^ keys.first(round);
    c1 = p1;
    c2 = (p0 >> 32) ^ c3 ^ keys.second(round);
    c3 = p0;
  }
  return {{c0, c1, c2, c3}};
}

inline constexpr int kPhiloxStepBits = 40;

// Words 3 and 2 of the counter.
SLIM_DEVICE static inline uint64_t philox_time(uint64_t step, uint64_t iteration) {
  return (step & ((uint64_t{1} << kPhiloxStepBits) - 1)) | iteration << kPhiloxStepBits;
}

struct PhiloxDraw {
  uint32_t word[4];
};

SLIM_DEVICE static inline PhiloxDraw philox(uint32_t seed, uint32_t stream, uint32_t block,
                                            uint32_t row, uint64_t step) {
  const auto words = philox_rounds<uint64_t>(
      block, row, step & 0xffffffffu, step >> 32, PhiloxKeys{seed, stream},
      [](uint64_t low, uint32_t factor) { return (low & 0xffffffffu) * factor; });
  PhiloxDraw draw;
  for (int i = 0; i < 4; ++i) draw.word[i] = static_cast<uint32_t>(words.word[i]);
  return draw;
}

// [0, 1) with 24 bits.
SLIM_DEVICE static inline float uniform_f32(uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24f;
}

// [0, 1) with 53 bits.
SLIM_DEVICE static inline double uniform_f64(uint32_t low, uint32_t high) {
  return static_cast<double>((uint64_t{high} << 32 | low) >> 11) * 0x1p-53;
}

}  // namespace slim
