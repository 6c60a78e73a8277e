// XXH64 as its specification states it.
#include "file/checksum.h"

#include <bit>
#include <cstring>

namespace slim {
namespace {

constexpr uint64_t kPrimes[] = {0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
                                0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5};
static_assert(std::endian::native == std::endian::little, "files are little-endian");

template <class T>
uint64_t read(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

uint64_t round(uint64_t sum, uint64_t word) {
  return std::rotl(sum + word * kPrimes[1], 31) * kPrimes[0];
}

uint64_t merge(uint64_t hash, uint64_t sum) {
  return (hash ^ round(0, sum)) * kPrimes[0] + kPrimes[3];
}

}  // namespace

uint64_t checksum(const std::byte* data, int64_t bytes) {
  const std::byte* const end = data + bytes;
  uint64_t hash = kPrimes[4];
  if (bytes >= 32) {
    uint64_t sums[] = {kPrimes[0] + kPrimes[1], kPrimes[1], 0, 0 - kPrimes[0]};
    for (; end - data >= 32; data += 32) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) sums[i] = round(sums[i], read<uint64_t>(data + 8 * i));
    }
    hash = std::rotl(sums[0], 1) + std::rotl(sums[1], 7) + std::rotl(sums[2], 12) +
           std::rotl(sums[3], 18);
    for (const uint64_t sum : sums) hash = merge(hash, sum);
  }
  hash += static_cast<uint64_t>(bytes);
  for (; end - data >= 8; data += 8) {
    hash = std::rotl(hash ^ round(0, read<uint64_t>(data)), 27) * kPrimes[0] + kPrimes[3];
  }
  if (end - data >= 4) {
    hash = std::rotl(hash ^ read<uint32_t>(data) * kPrimes[0], 23) * kPrimes[1] + kPrimes[2];
    data += 4;
  }
  for (; data != end; ++data) {
    hash = std::rotl(hash ^ read<uint8_t>(data) * kPrimes[4], 11) * kPrimes[0];
  }
  hash = (hash ^ hash >> 33) * kPrimes[1];
  hash = (hash ^ hash >> 29) * kPrimes[2];
  return hash ^ hash >> 32;
}

}  // namespace slim
