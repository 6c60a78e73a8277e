// The matmul op: shapes, tasks, and the epilogue over each finished C tile.
#include <memory>
#include <optional>
#include <string>

#include "cpu/check.h"
#include "cpu/gemm/add_slices.h"
#include "cpu/gemm/product.h"
#include "cpu/gemm/product_end.h"
#include "cpu/gemm/product_over_rows.h"
#include "cpu/gemm/row_product.h"
#include "cpu/kernel_set.h"
#include "cpu/split.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

// One matrix of a batch: sizes as the product sees them (transposes applied).
struct Matrix {
  int64_t row_stride, column_stride;
};

struct Shape {
  Count batch, m, k;
  int64_t n = 1;
  Matrix a, b;
  bool repeat_b = false;   // a of rank > 2 with one matrix b: its rows are one long m
  bool over_rows = false;  // sums over the leading dimension: nothing of C belongs to one row
};

Shape shape_of(const Binding& binding) {
  const Buffer &a = binding.operands[0], &b = binding.operands[1];
  [[maybe_unused]] const Buffer& c = binding.results[0];
  const bool flip_a = binding.flag("transpose_a", false);
  const bool flip_b = binding.flag("transpose_b", false);
  const size_t rank = a.dims.size();
  const bool one_b = b.dims.size() == 2 && rank > 2;

  Shape shape;
  const size_t row = flip_a ? rank - 1 : rank - 2, inner = flip_a ? rank - 2 : rank - 1;
  const size_t b_rank = b.dims.size();
  const size_t column = flip_b ? b_rank - 2 : b_rank - 1;
  SLIM_ASSERT(same_dim(a, inner, b, flip_b ? b_rank - 1 : b_rank - 2));
  SLIM_ASSERT(same_dim(a, row, c, rank - 2) && same_dim(b, column, c, rank - 1));
  shape.n = b.dims[column];
  shape.k = count_of(a, inner, inner + 1);
  shape.m = one_b ? count_of(a, 0, rank - 1) : count_of(a, row, row + 1);
  if (!one_b) shape.batch = count_of(a, 0, rank - 2);
  shape.repeat_b = one_b;
  shape.over_rows = flip_a && rank == 2;
  // Row-major: the stride of a matrix's rows, which no batch can be.
  const int64_t a_width = a.row(), b_width = b.row();
  shape.a = flip_a ? Matrix{1, a_width} : Matrix{a_width, 1};
  shape.b = flip_b ? Matrix{1, b_width} : Matrix{b_width, 1};
  return shape;
}

// From here on what is read of A's rows lies so far apart that a strip of Aᵀ waits for its line of
// each, if L2 does not hold A. Where some columns of wide rows are read, panels take no longer
// parts of them than strips.
constexpr int64_t kFarStripBytes = 2048;

// Whether to compute C's transpose and turn it: for Bᵀ with few rows, which packs A and not
// B, and for Aᵀ where C's columns would leave more of a vector idle than its rows do, or where A,
// read by panels, comes in longer parts of its rows.
template <class T>
bool is_flipped(const Shape& shape, int64_t m, int64_t k) {
  const int64_t n = shape.n, lanes = kLanes<T>;
  if (shape.b.column_stride != 1) {
    return shape.a.column_stride == 1 && m >= lanes && n * k > 4 * (m * k + m * n);
  }
  const int64_t row = m * int64_t{sizeof(T)};
  const bool far = kVectorRegisters == 32 && shape.a.row_stride == 1 && row >= kFarStripBytes &&
                   k * row >= kFarBytes;
  if (far && !shape.over_rows && n >= 2 * lanes && n <= 8 * lanes) return true;
  const double direct = static_cast<double>(m) * RowVectorCount<T>(n).cost();
  const double turned = static_cast<double>(n) * RowVectorCount<T>(m).cost();
  const double moved = 4 * static_cast<double>(m) * static_cast<double>(n);
  return shape.a.row_stride == 1 && (direct - turned) * static_cast<double>(k) > moved;
}

// Whether both sides are copied to units.
template <class T>
bool takes_units(const Shape& shape, int64_t m, int64_t k) {
  return shape.over_rows && shape.b.column_stride == 1 && suits_units<T>(m, shape.n, k) &&
         !is_flipped<T>(shape, m, k);
}

// Into how many slices of k a product is cut: a function of its shape alone, which does not
// fall where k grows.
template <class T>
int64_t slices(const Shape& shape, int64_t rows) {
  const int64_t m = shape.m(rows), k = shape.k(rows);
  const bool units = takes_units<T>(shape, m, k);
  if (!shape.over_rows || !(units || fits_few_tiles<T>(m, shape.n))) return 1;
  const double flops = 2.0 * static_cast<double>(m * shape.n) * static_cast<double>(k);
  if (flops < kMostSlices * kTaskFlops && k < kLongK) return 1;
  const Grid grid = units ? grid_of_units<T>(m, shape.n, 1) : coarse_grid<T>(m, shape.n);
  const int64_t tiles = grid.rows.count * grid.columns.count;
  const int64_t count = slices_of(tiles, tiles * (k / kLeastSliceK));
  // More than L2 holds cost more than they give.
  const int64_t near = kFarBytes / (m * shape.n * int64_t{sizeof(T)});
  return units ? std::min(count, std::max<int64_t>(near, 1)) : count;
}

// B packed for good, panel by panel over all of k, where an image or a sequence alone has rows
// enough to use it: one of a few rows reads B once, where it lies.
constexpr int64_t kPackedRows = 32;
// Half of an image is worth all panels: a lane then reads what it wrote itself, as layers by lines
// are cut so too. A line that another core wrote costs 13 ns.
constexpr int64_t kHalfRows = 64;

template <class T>
struct PackedMatrix {
  MicroTile tile;
  Panels<T> panels;
  int64_t k, n;

  explicit PackedMatrix(const Shape& shape)
      : tile(choose_tile<T>(std::min<int64_t>(shape.m(1), 64), shape.n, 0,
                            shape.m(1) < 2 * kHalfRows)),
        panels(shape.n, tile.vectors),
        k(shape.k(1)),
        n(shape.n) {}
  int64_t bytes() const { return panels.length() * kVectorBytes * k; }
};

template <class T>
class PackMatrix final : public Launch {
 public:
  PackMatrix(const Binding& binding, const PackedMatrix<T>& matrix)
      : matrix_(matrix), b_(binding.operands[1]), to_(*binding.packed) {}

  int64_t tasks(int64_t) const override { return matrix_.panels.count(); }

  void run(const Context& context, int64_t panel, std::byte*) const noexcept override {
    const int64_t j = matrix_.panels.begin(panel) * kLanes<T>;
    const int64_t width = matrix_.panels.vectors(panel) * kLanes<T>;
    copy_block(b_.in<T>(context) + j, b_.row(), matrix_.k, std::min(width, matrix_.n - j),
               to_.in<T>(context) + j * matrix_.k, width);
  }

  Cost cost(int64_t) const override { return {0, 2.0 * static_cast<double>(matrix_.bytes())}; }

 private:
  PackedMatrix<T> matrix_;
  Buffer b_, to_;
};

template <class T>
class Matmul final : public Launch {
 public:
  Matmul(const Binding& binding, std::shared_ptr<const ProductEnd<T>> end)
      : shape_(shape_of(binding)),
        a_(binding.operands[0]),
        b_(binding.operands[1]),
        c_(binding.results[0]),
        end_(std::move(end)) {
    if (!binding.workspace.empty()) partial_ = binding.workspace[0];
    if (binding.packed) {
      packed_ = *binding.packed;
      matrix_.emplace(shape_);
    }
    full_sizes_ = sizes_of(capacity_of(binding));
    full_ = schedule_of(full_sizes_);
    for (int64_t i = 1; i <= std::min(full_.grid.most, full_.grid.rows.count); ++i) {
      joined_.push_back(tile_of(full_, full_sizes_, i));
    }
    const int64_t leading = c_.dims[0];
    if (shape_.over_rows || leading == 0) return;
    batched_ = a_.dims.size() > 2 && !shape_.repeat_b;
    in_row_ = (batched_ ? full_sizes_.batch : full_sizes_.m) / leading;
  }

  int64_t tasks(int64_t rows) const override {
    const Sizes sizes = sizes_of(rows);
    std::optional<Schedule> own;
    const Schedule& schedule = this->schedule(sizes, own);
    const Grid& grid = schedule.grid;
    return std::max<int64_t>(sizes.batch, 1) * schedule.slices * grid.rows.count *
           grid.columns.count;
  }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    run_all(context, task, task + 1, local);
  }

  void run_all(const Context& context, int64_t first, int64_t last,
               std::byte* local) const noexcept override {
    const Sizes sizes = sizes_of(context.rows);
    if (sizes.batch == 0 || sizes.m == 0 || shape_.n == 0) return;
    std::optional<Schedule> own;
    const Schedule& schedule = this->schedule(sizes, own);
    const Grid& grid = schedule.grid;
    if (schedule.streamed) {
      return run_tile(context, sizes, schedule, schedule.tile,
                      {.i = 0, .i_end = 1, .column = first, .column_end = last}, local);
    }
    while (first < last) {
      const int64_t left = grid.rows.count - first / grid.columns.count % grid.rows.count;
      const int64_t count = std::min({last - first, grid.most, left});
      const MicroTile micro = count == 1       ? schedule.tile
                              : is_full(sizes) ? joined_[static_cast<size_t>(count - 1)]
                                               : tile_of(schedule, sizes, count);
      const int64_t row = first / grid.columns.count % grid.rows.count;
      run_tile(context, sizes, schedule, micro,
               {.i = grid.begin(row),
                .i_end = std::min(grid.begin(row + count), sizes.m),
                .column = first % grid.columns.count,
                .column_end = first % grid.columns.count + 1,
                .outer = first / (grid.columns.count * grid.rows.count)},
               local);
      first += count;
    }
  }

  bool takes_rows() const override { return in_row_ > 0; }

  void run_rows(const Context& context, int64_t first, int64_t last,
                std::byte* local) const noexcept override {
    const Sizes sizes = sizes_of(context.rows);
    if (first == last || sizes.m == 0 || shape_.n == 0) return;
    std::optional<Schedule> own;
    const Schedule& schedule = this->schedule(sizes, own);
    const Grid& grid = schedule.grid;
    if (batched_) {
      const int64_t tasks = grid.rows.count * grid.columns.count * in_row_;
      return run_all(context, first * tasks, last * tasks, local);
    }
    const int64_t most = grid.rows.largest() * grid.unit * grid.most;
    const Parts parts = Parts::of_at_most((last - first) * in_row_, most);
    const MicroTile micro = tile_of(schedule, parts.largest(), sizes.k);
    for (int64_t part = 0; part < parts.count; ++part) {
      const int64_t i = first * in_row_ + parts.begin(part);
      for (int64_t column = 0; column < grid.columns.count; ++column) {
        run_tile(context, sizes, schedule, micro,
                 {.i = i,
                  .i_end = i + parts.end(part) - parts.begin(part),
                  .column = column,
                  .column_end = column + 1},
                 local);
      }
    }
  }

  Cost cost(int64_t rows) const override {
    const Sizes sizes = sizes_of(rows);
    const double m = static_cast<double>(sizes.m), n = static_cast<double>(shape_.n);
    const double k = static_cast<double>(sizes.k), batch = static_cast<double>(sizes.batch);
    const double b_count = shape_.repeat_b ? 1 : batch;
    return {2 * batch * m * n * k, sizeof(T) * (batch * m * k + b_count * k * n + batch * m * n)};
  }

  int64_t local_bytes() const override {
    const int64_t units = takes_units<T>(shape_, full_sizes_.m, full_sizes_.k);
    return std::max(tape_offset() + end_->local_bytes(), units * 2 * Units<T>::kMostBytes);
  }

 private:
  struct Sizes {
    int64_t rows, batch, m, k;
  };

  Sizes sizes_of(int64_t rows) const {
    return {rows, shape_.batch(rows), shape_.m(rows), shape_.k(rows)};
  }

  // What the shape decides; that of a full batch is remembered.
  struct Schedule {
    Grid grid{{0, 1}, {0, 1}};
    MicroTile tile;
    bool flipped = false;
    bool units = false;
    bool streamed = false;
    int64_t slices = 1;
  };

  Schedule schedule_of(const Sizes& sizes) const {
    Schedule schedule;
    schedule.flipped = is_flipped<T>(shape_, sizes.m, sizes.k);
    const TileUse use = end_->has_tape()   ? TileUse::tape
                        : schedule.flipped ? TileUse::flipped
                                           : TileUse::direct;
    if (partial_) schedule.slices = slices<T>(shape_, sizes.rows);
    const bool sliced = schedule.slices > 1;
    if (takes_units<T>(shape_, sizes.m, sizes.k) && (sliced || !end_->has_tape())) {
      schedule.units = true;
      schedule.grid = grid_of_units<T>(sizes.m, shape_.n, sliced ? 1 : kFewTasks);
      return schedule;
    }
    schedule.grid = sliced ? coarse_grid<T>(sizes.m, shape_.n)
                           : choose_grid<T>(sizes.m, shape_.n, sizes.k, use);
    if (matrix_) cut_at_panels(schedule.grid, sizes.m);
    schedule.streamed = sizes.m == 1 && sizes.batch == 1 && schedule.slices == 1 &&
                        use == TileUse::direct && !matrix_ && shape_.b.column_stride == 1 &&
                        shape_.n <= kMostStreamed<T> &&
                        sizes.k * shape_.n * int64_t{sizeof(T)} > kFarBytes;
    schedule.tile = tile_of(schedule, sizes, 1);
    return schedule;
  }

  // Columns in whole panels; rows so few that a tile for the tape still has its room.
  void cut_at_panels(Grid& grid, int64_t m) const {
    const Panels<T>& panels = matrix_->panels;
    int64_t columns = std::min(grid.columns.count, panels.count());
    if (grid.rows.count == 1 && grid.unit == 1 && m >= 2 * kHalfRows) {
      grid.rows = {m, 2};
      columns = (columns + 1) / 2;
    }
    grid.columns = grid.rows.count == 1 ? Parts::of_one_length(panels.count(), columns)
                                        : Parts(panels.count(), columns);
    if (!end_->has_tape()) return;
    const int64_t width = grid.columns.largest() * panels.largest() * kVectorBytes;
    const int64_t rows = std::max<int64_t>(kTileBytes / width, 1);
    grid.rows = {m, std::max(grid.rows.count, (m + rows - 1) / rows)};
  }
  // Where a part of the grid's columns begins.
  int64_t column_of(const Grid& grid, int64_t column) const {
    const int64_t begin = grid.columns.begin(column);
    if (!matrix_) return std::min(begin * kLanes<T>, shape_.n);
    const Panels<T>& panels = matrix_->panels;
    return begin == panels.count() ? shape_.n : panels.begin(begin) * kLanes<T>;
  }

  // For so many tasks in one.
  MicroTile tile_of(const Schedule& schedule, const Sizes& sizes, int64_t count) const {
    const int64_t rows = schedule.grid.rows.largest() * schedule.grid.unit * count;
    return tile_of(schedule, std::min(rows, sizes.m), sizes.k);
  }
  // For so many rows.
  MicroTile tile_of(const Schedule& schedule, int64_t m, int64_t k) const {
    if (matrix_) return matrix_->tile;
    const int64_t n = std::min(schedule.grid.columns.largest() * kLanes<T>, shape_.n);
    return schedule.flipped ? choose_tile<T>(n, m, k) : choose_tile<T>(m, n, k);
  }

  bool is_full(const Sizes& sizes) const {
    return sizes.m == full_sizes_.m && sizes.k == full_sizes_.k;
  }
  // `own`: room for one that is not.
  const Schedule& schedule(const Sizes& sizes, std::optional<Schedule>& own) const {
    return is_full(sizes) ? full_ : own.emplace(schedule_of(sizes));
  }

  // C's tile for the tape, then a flipped product's transpose.
  static constexpr int64_t kTileRoom = kTileBytes + 2 * kVectorBytes;
  int64_t tape_offset() const {
    const bool flips = shape_.b.column_stride != 1 || shape_.a.row_stride == 1;
    return ProductScratch<T>::kBytes + (end_->has_tape() || flips ? 2 * kTileRoom : 0);
  }

  // Rows and parts of the grid's columns of a matrix of the batch, or of a slice's.
  struct Tile {
    int64_t i, i_end, column, column_end, outer = 0;
  };

  void run_tile(const Context& context, const Sizes& sizes, const Schedule& schedule,
                const MicroTile& micro, const Tile& part, std::byte* local) const noexcept {
    const Grid& grid = schedule.grid;
    const auto [i, i_end, column, column_end, outer] = part;
    const bool sliced = schedule.slices > 1;
    const int64_t matrix = sliced ? 0 : outer, slice = sliced ? outer : 0;
    const int64_t j = column_of(grid, column), j_end = column_of(grid, column_end);
    const int64_t folds = (sizes.k + kFoldK - 1) / kFoldK;
    const int64_t p = folds * slice / schedule.slices * kFoldK;
    const int64_t p_end = std::min(folds * (slice + 1) / schedule.slices * kFoldK, sizes.k);

    Product<T> product;
    product.m = i_end - i;
    product.n = j_end - j;
    product.k = p_end - p;
    product.a_row = shape_.a.row_stride;
    product.a_k = shape_.a.column_stride;
    product.b_k = shape_.b.row_stride;
    product.b_column = shape_.b.column_stride;
    const int64_t first = outer * sizes.m + i;  // row of C, or of the slices' Cs
    product.a = a_.in<T>(context) + matrix * a_.dims[a_.dims.size() - 2] * a_.row() +
                i * product.a_row + p * product.a_k;
    product.b = b_.in<T>(context) + matrix * b_.dims[b_.dims.size() - 2] * b_.row() +
                j * product.b_column + p * product.b_k;
    product.c_row = sliced ? shape_.n : c_.row();
    product.c = (sliced ? *partial_ : c_).template in<T>(context) + first * product.c_row + j;
    product.c_far = sizes.m * shape_.n * static_cast<int64_t>(sizeof(T)) > kFarBytes;
    T* tile = reinterpret_cast<T*>(local + ProductScratch<T>::kBytes);
    const bool tape = end_->has_tape() && !sliced;
    if (!sliced) product.finish = end_->finish(context, first, j);
    if (tape) {
      product.c = tile;
      product.c_row = product.n;
      product.c_far = false;
    }
    if (matrix_) {
      run_packed_product(product, matrix_->panels, grid.columns.begin(column),
                         grid.columns.begin(column_end), packed_->in<T>(context), micro.rows);
    } else if (schedule.streamed) {
      run_row_product(product, ProductScratch<T>(local));
    } else if (schedule.units) {
      run_product_over_rows(product, local);
    } else if (schedule.flipped) {
      run_flipped(product, micro, tile, ProductScratch<T>(local));
    } else {
      run_product(product, micro, ProductScratch<T>(local));
    }
    if (tape) {
      const int64_t top = matrix * sizes.m;
      end_->run_tape(context, {top + i, top + i_end, j, j_end}, tile, product.n,
                     local + tape_offset());
    }
  }

  void run_flipped(const Product<T>& product, const MicroTile& micro, T* tile,
                   ProductScratch<T> scratch) const noexcept {
    Product<T> flip;
    flip.m = product.n;
    flip.n = product.m;
    flip.k = product.k;
    flip.a = product.b;
    flip.a_row = product.b_column;
    flip.a_k = product.b_k;
    flip.b = product.a;
    flip.b_k = product.a_k;
    flip.b_column = product.a_row;
    flip.c = reinterpret_cast<T*>(reinterpret_cast<std::byte*>(tile) + kTileRoom);
    flip.c_row = flip.n;
    flip.c_far = false;
    run_product(flip, micro, scratch);
    transpose_block(flip.c, flip.c_row, flip.m, flip.n, product.c, product.c_row);
    finish_rows(product.c, product.c_row, product.m, product.n, product.finish);
  }

  Shape shape_;
  Sizes full_sizes_;
  Schedule full_;
  std::vector<MicroTile> joined_;  // of full_, by the count of tasks less one
  Buffer a_, b_, c_;
  std::optional<Buffer> partial_;  // [slices, m, n]: of a product that may be cut
  std::optional<Buffer> packed_;
  std::optional<PackedMatrix<T>> matrix_;  // of packed_
  std::shared_ptr<const ProductEnd<T>> end_;
  bool batched_ = false;
  int64_t in_row_ = 0;  // matrices or rows of C in one of its leading dimension
};

// Adds the slices' C, in order, and does what a product that is not cut does to each tile.
template <class T>
class AddSlices final : public Launch {
 public:
  AddSlices(const Binding& binding, std::shared_ptr<const ProductEnd<T>> end)
      : shape_(shape_of(binding)),
        partial_(binding.workspace[0]),
        c_(binding.results[0]),
        end_(std::move(end)),
        split_(Split::by_bytes(kMostSlices * shape_.n * static_cast<int64_t>(sizeof(T)))) {
    const int64_t row = std::max<int64_t>(shape_.n, 1) * static_cast<int64_t>(sizeof(T));
    split_.grain = std::clamp<int64_t>(kTileBytes / row, 1, split_.grain);
  }

  int64_t tasks(int64_t rows) const override {
    return slices<T>(shape_, rows) > 1 ? split_.tasks(shape_.m(rows)) : 1;
  }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    const int64_t slices = slim::SLIM_ISA_NAMESPACE::slices<T>(shape_, context.rows);
    if (slices == 1) return;
    const int64_t all = shape_.m(context.rows), n = shape_.n;
    const int64_t i = split_.first(task), i_end = split_.last(task, all);
    const int64_t c_row = end_->has_tape() ? n : c_.row();
    const T* partial = partial_.in<T>(context) + i * n;
    T* c = end_->has_tape() ? reinterpret_cast<T*>(local) : c_.in<T>(context) + i * c_row;
    const auto add = [&](const T* terms, T* sums, int64_t count) {
      add_slices(terms, slices, all * n, sums, count);
    };
    if (c_row == n) {
      add(partial, c, (i_end - i) * n);
    } else {
      for (int64_t row = 0; row < i_end - i; ++row) add(partial + row * n, c + row * c_row, n);
    }
    if (end_->has_tape()) {
      end_->run_tape(context, {i, i_end, 0, n}, c, n, local + kTileBytes + kAlignment);
    } else {
      finish_rows(c, c_row, i_end - i, n, end_->finish(context, i, 0));
    }
  }

  Cost cost(int64_t rows) const override {
    const double terms = static_cast<double>(slices<T>(shape_, rows) * shape_.m(rows) * shape_.n);
    return {terms, terms * sizeof(T)};
  }

  int64_t local_bytes() const override {
    return end_->has_tape() ? kTileBytes + kAlignment + end_->local_bytes() : 0;
  }

 private:
  Shape shape_;
  Buffer partial_, c_;
  std::shared_ptr<const ProductEnd<T>> end_;
  Split split_;
};

template <class T>
Prepared prepare(const Binding& binding) {
  const auto end = std::make_shared<const ProductEnd<T>>(binding);
  Prepared prepared(std::make_unique<Matmul<T>>(binding, end));
  if (!binding.workspace.empty()) {
    prepared.launches.push_back(std::make_unique<AddSlices<T>>(binding, end));
  }
  if (binding.packed) {
    const PackedMatrix<T> matrix(shape_of(binding));
    prepared.add_packing(binding, std::make_unique<PackMatrix<T>>(binding, matrix));
  }
  return prepared;
}

template <class T>
std::optional<Packing> packing(const Binding& binding) {
  const Shape shape = shape_of(binding);
  const bool plain = !binding.flag("transpose_a", false) && !binding.flag("transpose_b", false);
  if (!plain || binding.operands[1].dims.size() != 2) return {};
  if (shape.m(2) == shape.m(1) || shape.m(1) < kPackedRows) return {};
  const PackedMatrix<T> matrix(shape);
  if (matrix.k == 0 || !has_far_rows(binding.operands[1].row(), matrix.panels, matrix.k)) return {};
  return Packing{1, matrix.bytes(),
                 "as matrix in panels of " + std::to_string(matrix.tile.vectors)};
}

std::optional<Packing> matmul_packing(const Binding& binding) {
  return binding.operands[0].dtype == DType::f32 ? packing<float>(binding)
                                                 : packing<double>(binding);
}

Prepared prepare_matmul(const Binding& binding) {
  return binding.operands[0].dtype == DType::f32 ? prepare<float>(binding)
                                                 : prepare<double>(binding);
}

std::vector<int64_t> matmul_workspace(const Binding& binding) {
  if (!binding.flag("transpose_a", false)) return {};
  const Shape shape = shape_of(binding);
  const DType dtype = binding.operands[0].dtype;
  const int64_t rows = capacity_of(binding);
  const int64_t count =
      dtype == DType::f32 ? slices<float>(shape, rows) : slices<double>(shape, rows);
  if (count == 1) return {};
  return {count * shape.m(rows) * shape.n * size_of(dtype)};
}

}  // namespace

SLIM_KERNEL(matmul, prepare_matmul, matmul_workspace, matmul_packing);

}  // namespace slim::SLIM_ISA_NAMESPACE
