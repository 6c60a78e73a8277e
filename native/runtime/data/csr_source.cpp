// Checks a sparse matrix and copies its rows.
#include "runtime/data/csr_source.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <numeric>
#include <stdexcept>

namespace slim {
namespace {

std::atomic<int64_t> checks_made{0};

template <class Src, class Dst>
void convert_run(std::byte* dst, const std::byte* src, int64_t count) {
  const Src* from = reinterpret_cast<const Src*>(src);
  Dst* to = reinterpret_cast<Dst*>(dst);
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<Dst>(from[i]);
}

}  // namespace

CsrRows::CsrRows(const CsrArrays& arrays, int64_t rows, int64_t columns, const std::string& where)
    : arrays_(arrays), rows_(rows) {
  checks_made.fetch_add(1, std::memory_order_relaxed);
  bool rises = offset(0) >= 0;
  for (int64_t row = 0; row < rows; ++row) rises = rises && offset(row) <= offset(row + 1);
  if (!rises) throw std::invalid_argument(where + "indptr must start at 0 or more and never fall");
  if (offset(rows) > arrays.stored) {
    throw std::invalid_argument(where + "indptr ends at " + std::to_string(offset(rows)) +
                                ", but data and indices have " + std::to_string(arrays.stored) +
                                " elements");
  }
  if (arrays_.wide_columns) {
    check_columns<int64_t>(columns, where);
  } else {
    check_columns<int32_t>(columns, where);
  }
}

int64_t CsrRows::checks() { return checks_made.load(std::memory_order_relaxed); }

template <class Id>
void CsrRows::check_columns(int64_t columns, const std::string& where) const {
  const Id* ids = reinterpret_cast<const Id*>(arrays_.columns);
  bool rises = true;
  for (int64_t row = 0; row < rows_; ++row) {
    const int64_t begin = offset(row), end = offset(row + 1);
    if (begin == end) continue;
    int64_t before = -1;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = ids[i];
      if (column < 0 || column >= columns) {
        throw std::invalid_argument(where + "row " + std::to_string(row) + " has the column " +
                                    std::to_string(column) + " of " + std::to_string(columns));
      }
      rises = rises && column > before;
      before = column;
    }
  }
  if (!rises) {
    throw std::invalid_argument(
        where + "columns must rise within each row, each but once: X.sum_duplicates() sorts them");
  }
}

int64_t CsrRows::most_stored(int64_t rows, const std::vector<uint32_t>& index) const {
  const int64_t count = index.empty() ? rows_ : static_cast<int64_t>(index.size());
  std::vector<int64_t> stored(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = index.empty() ? i : int64_t{index[static_cast<size_t>(i)]};
    stored[static_cast<size_t>(i)] = offset(row + 1) - offset(row);
  }
  const auto end = stored.begin() + std::min(rows, count);
  std::nth_element(stored.begin(), end, stored.end(), std::greater<int64_t>());
  return std::accumulate(stored.begin(), end, int64_t{0});
}

double CsrRows::mean_stored() const {
  return static_cast<double>(offset(rows_) - offset(0)) /
         static_cast<double>(std::max<int64_t>(rows_, 1));
}

CsrRows::Packed CsrRows::packed() const {
  const int64_t first = offset(0);
  Packed all;
  all.dtype = arrays_.dtype;
  all.stored = stored();
  all.values = arrays_.values + first * size_of(arrays_.dtype);
  for (int64_t row = 0; row <= rows_; ++row) all.offsets.push_back(offset(row) - first);
  if (arrays_.wide_columns) {
    const auto* ids = reinterpret_cast<const int64_t*>(arrays_.columns) + first;
    all.narrowed.resize(static_cast<size_t>(all.stored));
    std::transform(ids, ids + all.stored, all.narrowed.begin(),
                   [](int64_t id) { return static_cast<int32_t>(id); });
    all.columns = all.narrowed.data();
  } else {
    all.columns = reinterpret_cast<const int32_t*>(arrays_.columns) + first;
  }
  return all;
}

void CsrRows::copy(const SparseBatch& batch, DType dtype, const uint32_t* index, int64_t first,
                   int64_t begin, int64_t end) const noexcept {
  const auto source_row = [&](int64_t row) {
    return index != nullptr ? int64_t{index[first + row]} : first + row;
  };
  if (begin == 0 && end > 0) batch.offsets[0] = 0;
  int64_t at = 0;
  for (int64_t row = 0; row < begin; ++row) {  // what other lanes copy
    const int64_t from = source_row(row);
    at += offset(from + 1) - offset(from);
  }
  const int64_t size = size_of(dtype), source_size = size_of(arrays_.dtype);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t from = offset(source_row(row)), count = offset(source_row(row) + 1) - from;
    if (arrays_.wide_columns) {
      const auto* ids = reinterpret_cast<const int64_t*>(arrays_.columns) + from;
      std::transform(ids, ids + count, batch.columns + at,
                     [](int64_t id) { return static_cast<int32_t>(id); });
    } else {
      std::memcpy(batch.columns + at, arrays_.columns + 4 * from, static_cast<size_t>(4 * count));
    }
    const std::byte* values = arrays_.values + from * source_size;
    std::byte* to = batch.values + at * size;
    if (dtype == arrays_.dtype) {
      std::memcpy(to, values, static_cast<size_t>(count * size));
    } else if (dtype == DType::f32) {
      convert_run<double, float>(to, values, count);
    } else {
      convert_run<float, double>(to, values, count);
    }
    at += count;
    batch.offsets[row + 1] = at;
  }
}

}  // namespace slim
