// Which rows make which batch, and the order of an epoch.
#pragma once

#include <cstdint>
#include <vector>

namespace slim {

// ceil(rows / batch) batches; a last batch of one row joins the one before it, because batch
// statistics of one row mean nothing.
struct BatchRule {
  int64_t rows = 0;
  int64_t batch = 1;

  bool joined() const { return rows > batch && rows % batch == 1; }
  int64_t steps() const { return (rows + batch - 1) / batch - (joined() ? 1 : 0); }
  int64_t begin(int64_t step) const { return step * batch; }
  int64_t count(int64_t step) const { return step + 1 == steps() ? rows - begin(step) : batch; }
  int64_t capacity() const { return rows < batch ? rows : batch + (joined() ? 1 : 0); }
};

// Fisher-Yates from the end; `order` starts as the given rows and the same (seed, epoch)
// gives the same order on every machine. What is shuffled beside rows has a stream of its own.
inline constexpr uint32_t kRowStream = 0x53485546;
void shuffle_rows(const std::vector<uint32_t>& rows, uint32_t seed, uint64_t epoch,
                  std::vector<uint32_t>& order, uint32_t stream = kRowStream);

}  // namespace slim
