// Which register tile, which blocks and which tasks: from shapes and the level alone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/gemm/micro.h"

namespace slim::SLIM_ISA_NAMESPACE {

// A length in `count` parts whose sizes differ by one at most, the larger ones first.
struct Parts {
  int64_t length = 0;
  int64_t count = 1;
  int64_t least = 0;   // of a part
  int64_t larger = 0;  // parts that are longer by one

  Parts() = default;
  Parts(int64_t length, int64_t count)
      : length(length),
        count(std::max<int64_t>(count, 1)),
        least(length / this->count),
        larger(length % this->count) {}
  static Parts of_at_most(int64_t length, int64_t most) {
    return {length, (length + most - 1) / most};
  }
  // So many parts or more, all of the same length but the last: 11 in 8 parts would be 7 for the
  // first half of them.
  static Parts of_one_length(int64_t length, int64_t wanted) {
    const int64_t each = std::max<int64_t>(length / std::max<int64_t>(wanted, 1), 1);
    return of_at_most(length, each);
  }
  int64_t begin(int64_t part) const { return part * least + std::min(part, larger); }
  int64_t end(int64_t part) const { return begin(part + 1); }
  int64_t largest() const { return least + (larger > 0 ? 1 : 0); }
};

// A row of n elements in vectors, the rest in half a one if that holds it.
template <class T>
struct RowVectorCount {
  int64_t full;
  bool half;

  explicit RowVectorCount(int64_t n) {
    const int64_t rest = n % kLanes<T>;
    half = kHalves && rest > 0 && 2 * rest <= kLanes<T>;
    full = n / kLanes<T> + (rest > 0 && !half);
  }
  double cost() const { return static_cast<double>(full) + (half ? 0.5 : 0.0); }
};

// Cycles of one step over k, near enough to choose by: the sums' fma, their latency, loads. Where
// 32 registers let fma fill all cycles, loads cost a little beside them.
inline double step_cycles(double rows, double vectors) {
  constexpr double kFmaPerCycle = kVectorBytes == 64 ? 1.0 : 2.0;
  constexpr double kLatency = 4.0;
  constexpr double kLoad = kVectorRegisters == 32 ? 0.02 : 0.0;
  return std::max({rows * vectors / kFmaPerCycle, kLatency, rows / 2.0 + vectors / kFmaPerCycle}) +
         kLoad * (rows + vectors) + 0.5;
}

// A row of C in panels of vectors, the half vector alone in a last one.
template <class T>
class Panels {
 public:
  Panels(int64_t n, int64_t most)
      : row_(n),
        full_(Parts::of_at_most(row_.full, most)),
        whole_(row_.full > 0 ? full_.count : 0) {}

  int64_t count() const { return whole_ + row_.half; }
  int64_t length() const { return row_.full + row_.half; }
  int64_t largest() const { return std::max<int64_t>(full_.largest(), 1); }
  bool half(int64_t panel) const { return panel == whole_; }
  int64_t begin(int64_t panel) const { return half(panel) ? row_.full : full_.begin(panel); }
  int64_t vectors(int64_t panel) const {
    return half(panel) ? 1 : full_.end(panel) - full_.begin(panel);
  }

 private:
  RowVectorCount<T> row_;
  Parts full_;
  int64_t whole_;  // panels of whole vectors
};

// An element of C is the sum, in order, of blocks of kFoldK of k, each a chain of fma that
// starts at zero: the error grows with kFoldK + k / kFoldK, and no tile moves a block's end.
inline constexpr int64_t kFoldK = 512;
// B's panel over a block of k, packed or where it lies; it streams from L2.
inline constexpr int64_t kPanelBytes = kFoldK * kMostVectors * kVectorBytes;
inline constexpr int64_t kNearBytes = 24 * 1024;  // a panel that L1 keeps beside A and C

struct MicroTile {
  int rows = 1;
  int vectors = 1;
  double cycles = 0;  // of an m × n product, for one step over k
};

// Of an m × n product. `k`: where B's panels are read over all of it, once a strip. `halved`: two
// lanes share the panels, the longer half counts.
template <class T>
MicroTile choose_tile(int64_t m, int64_t n, int64_t k = 0, bool halved = false) {
  constexpr double kFarVector = kVectorRegisters == 32 ? 0.1 : 0.0;  // cycles, beside the fma
  const RowVectorCount<T> row(n);
  const int64_t vectors = std::max<int64_t>(row.full, 1);
  MicroTile best;
  for (int width = 1; width <= kMostVectors; ++width) {
    const int most = most_rows(width);
    if (most == 0) continue;
    const Parts strips = Parts::of_at_most(m, most), panels = Parts::of_at_most(vectors, width);
    const int64_t shared = halved ? (panels.count + 1) / 2 * 2 : panels.count;
    const double strip_count = static_cast<double>(strips.count);
    const double rows = static_cast<double>(m) / strip_count;
    const double each = static_cast<double>(vectors) / static_cast<double>(panels.count);
    double cycles = step_cycles(rows, each);
    // A panel that could be near and is not; over a longer k none is.
    const int64_t column_bytes = k * kVectorBytes;
    if (column_bytes <= kNearBytes && panels.largest() * column_bytes > kNearBytes) {
      cycles += kFarVector * each;
    }
    cycles *= static_cast<double>(shared);
    // Few rows of a half vector wait for their sums.
    if (row.half && row.full > 0) cycles += step_cycles(rows, 0.5);
    cycles *= strip_count;
    if (best.cycles == 0 || cycles < best.cycles) best = {most, width, cycles};
  }
  return best;
}

inline constexpr int64_t kFarBytes = 1024 * 1024;  // a larger matrix is not in L2
inline constexpr int64_t kTileBytes = 64 * 1024;   // C's tile, where it needs local memory
inline constexpr int64_t kTapeColumns = 512;       // about the tape's block
inline constexpr int64_t kSquareK = 256;           // from here on packing outweighs the tape
inline constexpr double kTaskFlops = 1.5e6;
inline constexpr int64_t kTaskMatrixBytes = 256 * 1024;  // of B: few rows wait for nothing else
inline constexpr int64_t kMostTasks = 64;
inline constexpr int64_t kTileRows = 256;
inline constexpr int64_t kFlippedRows = 128;
inline constexpr int64_t kFewTasks = 8;      // fewer leave lanes idle: smaller tiles then
inline constexpr double kLargeFlops = 1e9;   // larger tiles then
inline constexpr double kSliceFlops = 16e3;  // some tenths of a microsecond
inline constexpr int64_t kSliceRows = 8;

// A product over the batch with a C of few tiles is cut into slices of k, each at least so long,
// where it is worth many tasks or its sums are so long that slices make them more exact.
inline constexpr int64_t kLeastSliceK = 1024;
inline constexpr int64_t kLongK = 128 * 1024;

struct Grid {
  Parts rows;        // in units of so many rows
  Parts columns;     // in units of a vector
  int64_t unit = 1;  // rows
  int64_t most = 1;  // tasks that a lane runs as one tile; above 1 there is one column

  int64_t begin(int64_t row) const { return rows.begin(row) * unit; }
};

// What a task's C tile needs besides its place in memory.
enum class TileUse : uint8_t {
  direct,   // nothing: C is written where it belongs
  flipped,  // its transpose in local memory
  tape,     // local memory, for a tape over whole rows or long parts of them
};

// Output tiles: enough for many threads, none so small that packing for it costs.
template <class T>
Grid choose_grid(int64_t m, int64_t n, int64_t k, TileUse use) {
  const auto parts = [](int64_t length, int64_t most) { return (length + most - 1) / most; };
  m = std::max<int64_t>(m, 1);  // an empty product has a grid too
  n = std::max<int64_t>(n, 1);
  const int64_t vectors = parts(n, kLanes<T>);
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(vectors * kLanes<T>) *
                       static_cast<double>(k);
  const int64_t tasks = std::clamp<int64_t>(std::max(static_cast<int64_t>(flops / kTaskFlops),
                                                     vectors * kVectorBytes * k / kTaskMatrixBytes),
                                            1, kMostTasks);
  if (use == TileUse::tape) {
    const int64_t by_columns = parts(n, k < kSquareK ? kTapeColumns : kTapeColumns / 4);
    const int64_t width = parts(vectors, by_columns) * kVectorBytes;
    const int64_t rows = std::max<int64_t>(kTileBytes / width, 1);
    const int64_t by_rows =
        std::max(parts(m, rows), std::min(parts(tasks, by_columns), parts(m, 16)));
    return {{m, by_rows}, {vectors, by_columns}};
  }
  // A small product: slices of whole strips, of a flipped product's whole vectors.
  const int64_t unit = use == TileUse::flipped ? kLanes<T> : kSliceRows;
  const int64_t units = parts(m, unit);
  const int64_t most_rows =
      use == TileUse::flipped
          ? std::min<int64_t>(kTileBytes / (vectors * kVectorBytes), kFlippedRows)
          : kTileRows;
  if (tasks < kFewTasks && units >= tasks && most_rows >= unit) {
    const int64_t slices = std::max<int64_t>(static_cast<int64_t>(flops / kSliceFlops), 1);
    Grid grid{{units, std::min(slices, units)}, {vectors, 1}, unit};
    grid.most = std::max<int64_t>(most_rows / (grid.rows.largest() * unit), 1);
    return grid;
  }
  // B is packed once a row of tiles, A read anew for each column of them.
  const auto columns_of = [&](int64_t bytes) { return parts(vectors, bytes / kVectorBytes); };
  int64_t by_rows = parts(m, use == TileUse::flipped ? kFlippedRows : kTileRows);
  int64_t by_columns = std::min(tasks, columns_of(flops > kLargeFlops && by_rows > 1 ? 1024 : 512));
  const int64_t least = std::min(tasks, kFewTasks);
  if (by_rows * by_columns < least) by_columns = std::min(parts(least, by_rows), columns_of(128));
  if (by_rows * by_columns < least) by_rows = std::min(parts(least, by_columns), parts(m, 64));
  // A few more than are needed share out evenly.
  if (by_rows > kFewTasks && by_rows < kMostTasks) by_rows = (by_rows + 3) / 4 * 4;
  if (use == TileUse::flipped) {
    const int64_t most_vectors = kTileBytes / kVectorBytes / parts(m, by_rows);
    by_columns = std::max(by_columns, parts(vectors, std::max<int64_t>(most_vectors, 1)));
  }
  return {{m, by_rows}, {vectors, by_columns}};
}

// Whether no grid makes enough tasks of an m × n product.
template <class T>
bool fits_few_tiles(int64_t m, int64_t n) {
  const int64_t by_rows = (m + 63) / 64, by_columns = (n * int64_t{sizeof(T)} + 127) / 128;
  return by_rows * by_columns < kFewTasks;
}

// Of such a product: tiles as large as those of a product in many.
template <class T>
Grid coarse_grid(int64_t m, int64_t n) {
  const int64_t vectors = (n + kLanes<T> - 1) / kLanes<T>;
  return {{m, (m + kFlippedRows - 1) / kFlippedRows},
          {vectors, (vectors * kVectorBytes + 511) / 512}};
}

}  // namespace slim::SLIM_ISA_NAMESPACE
