// XXH64 (Collet, 2012): tells damage from what was written, at the speed of memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace slim {

// As the xxhash libraries compute it, with seed 0. No protection from those who mean harm.
uint64_t checksum(const std::byte* data, int64_t bytes);

}  // namespace slim
