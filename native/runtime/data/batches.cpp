// The shuffle of an epoch.
#include "runtime/data/batches.h"

#include <algorithm>
#include <utility>

#include "kernels/philox.h"

namespace slim {

void shuffle_rows(const std::vector<uint32_t>& rows, uint32_t seed, uint64_t epoch,
                  std::vector<uint32_t>& order, uint32_t stream) {
  order.resize(rows.size());
  std::copy(rows.begin(), rows.end(), order.begin());
  PhiloxDraw draw{};
  uint64_t drawn = UINT64_MAX;
  for (uint64_t i = order.size(); i-- > 1;) {
    if (i / 4 != drawn) {
      drawn = i / 4;
      draw = philox(seed, stream, static_cast<uint32_t>(drawn), 0, epoch);
    }
    const uint64_t j = (uint64_t{draw.word[i % 4]} * (i + 1)) >> 32;
    std::swap(order[i], order[j]);
  }
}

}  // namespace slim
