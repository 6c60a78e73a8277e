// Room in a call for the values that are not dense: as much as its data can need.
#include <algorithm>
#include <stdexcept>
#include <type_traits>

#include "runtime/plan/plan.h"

namespace slim {
namespace {

using Origin = SparseValue::Origin;

// Lays the arrays of a sparse value out from `data` on (null: only to count) for so many stored
// elements in so many rows; returns the bytes they take.
int64_t lay_out(const Buffer& value, Origin origin, int64_t stored, int64_t listed, std::byte* data,
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
  if (origin == Origin::source) return at;
  take(batch.count, 8);
  if (origin == Origin::per_row) return at;
  take(batch.ids, listed * 4);
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
  if (call.remote) {
    call.remote->sparse.resize(sparse_.size());
    call.remote->stored.resize(sparse_.size());
    call.remote->context.sparse = call.remote->sparse.data();
  }
  std::vector<int64_t> stored(sparse_.size());
  for (size_t i = 0; i < gathers.size(); ++i) {
    if (!gathers[i].csr()) continue;
    const auto value = static_cast<size_t>(inputs_[i].buffer.offset);
    stored[value] = gathers[i].csr()->most_stored(capacity(), index);
  }
  for (size_t i = 0; i < sparse_.size(); ++i) {
    const auto& [value, origin, from] = sparse_[i];
    const int64_t rows = value.dims[0];
    if (origin == Origin::per_row) stored[i] = rows;
    if (origin == Origin::sparse) stored[i] = stored[static_cast<size_t>(from)];
    if (origin != Origin::source && stored[i] > int64_t{UINT32_MAX}) {
      throw std::invalid_argument("a batch may have " + std::to_string(stored[i]) +
                                  " stored elements, at most are 4294967295: lower batch_size");
    }
    SparseBatch& batch = call.sparse[i];
    const int64_t listed = origin == Origin::sparse ? std::min(stored[i], rows) : rows;
    const int64_t bytes = lay_out(value, origin, stored[i], listed, nullptr, batch);
    if (call.stored[i].size() < bytes) call.stored[i] = Arena(bytes, device_.memory());
    lay_out(value, origin, stored[i], listed, call.stored[i].data(), batch);
    if (call.remote && origin == Origin::source) {
      Arena& gathered = call.remote->stored[i];
      if (gathered.size() < bytes) gathered = Arena(bytes);
      lay_out(value, origin, stored[i], listed, gathered.data(), call.remote->sparse[i]);
    }
    if (value.storage == Storage::rows) {
      const SparseBatch& others = call.sparse[static_cast<size_t>(from)];
      batch.ids = others.ids;
      batch.count = others.count;
    }
  }
}

}  // namespace slim
