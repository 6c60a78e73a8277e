// Philox4x32-10 (Salmon et al., 2011), scalar or several counters at once, and what its
// words mean as numbers. The random bits of a value depend on (seed, stream, step, row,
// column) only: never on the batch's size, the place in it, the threads or the device.
#pragma once

#include <cstdint>

namespace slim {

template <class Lane>
struct PhiloxWords {
  Lane word[4];  // each in the low half of its lanes; the high halves are noise
};

inline constexpr int kPhiloxRounds = 10;

struct PhiloxKeys {
  uint32_t seed, stream;

  uint64_t first(int round) const { return seed + 0x9E3779B9u * static_cast<uint32_t>(round); }
  uint64_t second(int round) const { return stream + 0xBB67AE85u * static_cast<uint32_t>(round); }
};

// One counter or several, a word in the low half of a 64-bit lane. multiply(lane, factor) is
// the 64-bit product of the low half and a factor; keys are PhiloxKeys or have them ready.
template <class Lane, class Keys, class Multiply>
static inline PhiloxWords<Lane> philox_rounds(Lane c0, Lane c1, Lane c2, Lane c3, const Keys& keys,
                                              Multiply multiply) {
#pragma GCC unroll 10
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

struct PhiloxDraw {
  uint32_t word[4];
};

static inline PhiloxDraw philox(uint32_t seed, uint32_t stream, uint32_t block, uint32_t row,
                                uint64_t step) {
  const auto words = philox_rounds<uint64_t>(
      block, row, step & 0xffffffffu, step >> 32, PhiloxKeys{seed, stream},
      [](uint64_t low, uint32_t factor) { return (low & 0xffffffffu) * factor; });
  PhiloxDraw draw;
  for (int i = 0; i < 4; ++i) draw.word[i] = static_cast<uint32_t>(words.word[i]);
  return draw;
}

// [0, 1) with 24 bits.
static inline float uniform_f32(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

// [0, 1) with 53 bits.
static inline double uniform_f64(uint32_t low, uint32_t high) {
  return static_cast<double>((uint64_t{high} << 32 | low) >> 11) * 0x1p-53;
}

}  // namespace slim
