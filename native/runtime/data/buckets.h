// Rows of like length in one batch: how many steps it has, and an order that brings them together.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/data/batches.h"
#include "runtime/data/source.h"

namespace slim {

class Buckets {
 public:
  // Of sources whose batches may have several numbers of steps; one bucket where there are none.
  // Throws std::invalid_argument where they differ in how many.
  explicit Buckets(const std::vector<Source>& sources);

  size_t count() const { return count_; }
  // Of a batch of these rows: that of the longest.
  size_t of(const uint32_t* rows, int64_t count) const noexcept;
  // The sources as a batch of a bucket reads them.
  std::vector<Source> sized(const std::vector<Source>& sources, size_t bucket) const;

  // Sorts shuffled rows by bucket, and shuffles the batches that they then make. A shorter last
  // batch has rows of any bucket. The same (seed, epoch) gives the same order on every machine.
  void group(std::vector<uint32_t>& order, const BatchRule& rule, uint32_t seed,
             uint64_t epoch) const;

 private:
  size_t count_ = 1;
  std::vector<uint8_t> bucket_;  // of each row; empty where there is one
};

}  // namespace slim
