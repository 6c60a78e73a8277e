// Finds the bucket of each row, and sorts an epoch's rows by it.
#include "runtime/data/buckets.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace slim {
namespace {

bool has_several(const Source& source) { return source.ragged && source.ragged->sizes.size() > 1; }

}  // namespace

Buckets::Buckets(const std::vector<Source>& sources) {
  for (const Source& source : sources) {
    if (!has_several(source)) continue;
    const RaggedRows& ragged = *source.ragged;
    const size_t own = ragged.sizes.size();
    if (count_ != 1 && count_ != own) {
      throw std::invalid_argument("source " + source.name + " has batches of " +
                                  std::to_string(own) + " lengths, another source of " +
                                  std::to_string(count_) + ": give all as many");
    }
    count_ = own;
    bucket_.resize(std::max(bucket_.size(), static_cast<size_t>(source.shape[0])));
    for (int64_t row = 0; row < source.shape[0]; ++row) {
      const auto found =
          std::lower_bound(ragged.sizes.begin(), ragged.sizes.end() - 1, ragged.length(row));
      const auto bucket = static_cast<uint8_t>(found - ragged.sizes.begin());
      uint8_t& known = bucket_[static_cast<size_t>(row)];
      known = std::max(known, bucket);
    }
  }
}

size_t Buckets::of(const uint32_t* rows, int64_t count) const noexcept {
  uint8_t largest = 0;
  if (count_ == 1) return largest;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, bucket_[rows[i]]);
  return largest;
}

std::vector<Source> Buckets::sized(const std::vector<Source>& sources, size_t bucket) const {
  std::vector<Source> all = sources;
  for (Source& source : all) {
    if (has_several(source)) source.shape[1] = source.ragged->sizes[bucket];
  }
  return all;
}

void Buckets::group(std::vector<uint32_t>& order, const BatchRule& rule, uint32_t seed,
                    uint64_t epoch) const {
  if (count_ == 1) return;
  constexpr uint32_t kBatches = 0x42415443;
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return bucket_[a] < bucket_[b]; });
  std::vector<uint32_t> batches(static_cast<size_t>(rule.steps())), shuffled;
  std::iota(batches.begin(), batches.end(), 0u);
  shuffle_rows(batches, seed, epoch, shuffled, kBatches);
  // The batch of another size is where the last of the shuffled ones would be, so that it is not
  // always the longest rows that are few together.
  const uint32_t odd = shuffled.back();
  const int64_t last = rule.count(rule.steps() - 1), more = last - rule.batch;
  std::vector<uint32_t> grouped;
  grouped.reserve(order.size());
  for (const uint32_t batch : shuffled) {
    const int64_t begin = rule.begin(batch) + (batch > odd ? more : 0);
    const int64_t count = batch == odd ? last : rule.batch;
    grouped.insert(grouped.end(), order.begin() + begin, order.begin() + begin + count);
  }
  order.swap(grouped);
}

}  // namespace slim
