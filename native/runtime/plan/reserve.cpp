// Room in a call for the values that are not dense: as much as its data can need.
#include <algorithm>
#include <stdexcept>
#include <type_traits>

#include "runtime/plan/plan.h"

namespace slim {
namespace {

// Lays the arrays of a sparse value out from `data` on (null: only to count) for so many stored
// elements in so many rows; returns the bytes they take.
int64_t lay_out(const Buffer& value, bool gathered, int64_t stored, int64_t listed, std::byte* data,
                SparseBatch& batch) {
  int64_t at = 0;
  const auto take = [&](auto*& array, int64_t bytes) {
    if (data != nullptr)
      array = reinterpret_cast<std::remove_reference_t<decltype(array)>>(data + at);
    at += round_up(bytes) + kAlignment;
  };
  if (value.storage == Storage::rows) {
    take(batch.values, listed * value.inner() * size_of(value.dtype));
    return at;
  }
  take(batch.values, stored * size_of(value.dtype));
  take(batch.columns, stored * 4);
  take(batch.offsets, (listed + 1) * 8);
  if (gathered) return at;
  take(batch.ids, listed * 4);
  take(batch.count, 8);
  for (uint64_t*& pairs : batch.pairs) take(pairs, stored * 8);
  take(batch.row_of, stored * 4);
  return at;
}

}  // namespace

void Plan::reserve(CallContext& call, const std::vector<Gather>& gathers,
                   const std::vector<uint32_t>& index) const {
  if (sparse_.empty()) return;
  call.sparse.resize(sparse_.size());
  call.stored.resize(sparse_.size());
  call.context.sparse = call.sparse.data();
  std::vector<int64_t> stored(sparse_.size());
  for (size_t i = 0; i < gathers.size(); ++i) {
    if (!gathers[i].csr()) continue;
    const auto value = static_cast<size_t>(inputs_[i].buffer.offset);
    stored[value] = gathers[i].csr()->most_stored(capacity(), index);
  }
  for (size_t i = 0; i < sparse_.size(); ++i) {
    const Sparse& sparse = sparse_[i];
    const bool gathered = sparse.from < 0;
    SparseBatch& batch = call.sparse[i];
    if (!gathered) stored[i] = stored[static_cast<size_t>(sparse.from)];
    if (!gathered && stored[i] > int64_t{UINT32_MAX}) {
      throw std::invalid_argument("a batch may have " + std::to_string(stored[i]) +
                                  " stored elements, at most are 4294967295: lower batch_size");
    }
    const int64_t rows = sparse.buffer.dims[0];
    const int64_t listed = gathered ? rows : std::min(stored[i], rows);
    const int64_t bytes = lay_out(sparse.buffer, gathered, stored[i], listed, nullptr, batch);
    if (call.stored[i].size() < bytes) call.stored[i] = Arena(bytes);
    lay_out(sparse.buffer, gathered, stored[i], listed, call.stored[i].data(), batch);
    if (sparse.buffer.storage == Storage::rows) {
      const SparseBatch& from = call.sparse[static_cast<size_t>(sparse.from)];
      batch.ids = from.ids;
      batch.count = from.count;
    }
  }
}

}  // namespace slim
