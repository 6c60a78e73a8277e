// Runs a tape: scalars once, rows once a window, then a few pointers a block and a call a step.
#include <algorithm>
#include <cstring>

#include "cpu/rows.h"
#include "cpu/tape/tape.h"
#include "cpu/tape/tape_stencils.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

// n copies of the bits at src, where there may be numbers of any type: memcpy.
template <class Word>
void repeat(std::byte* dst, const std::byte* src, int64_t n) {
  constexpr auto kSize = static_cast<int64_t>(sizeof(Word));
  Word word;
  std::memcpy(&word, src, sizeof word);
  for (int64_t i = 0; i < n; ++i) std::memcpy(dst + i * kSize, &word, sizeof word);
}

void repeat_element(std::byte* dst, const std::byte* src, int64_t n, int64_t size) {
  if (size == 4) {
    repeat<uint32_t>(dst, src, n);
  } else if (size == 8) {
    repeat<uint64_t>(dst, src, n);
  } else {
    repeat<uint8_t>(dst, src, n);
  }
}

template <class T>
void put(std::byte* dst, T value) {
  std::memcpy(dst, &value, sizeof value);
}

void put_number(std::byte* dst, DType dtype, double number, int64_t integer) {
  switch (dtype) {
    case DType::f32:
      return put(dst, static_cast<float>(number));
    case DType::f64:
      return put(dst, number);
    case DType::i32:
      return put(dst, static_cast<int32_t>(integer));
    case DType::i64:
      return put(dst, integer);
    case DType::b8:
      return put(dst, static_cast<uint8_t>(integer != 0));
    case DType::u8:
      return put(dst, static_cast<uint8_t>(integer));
    case DType::bf16:
    case DType::f16:
      break;  // of no register
  }
}

template <class T>
void add_to_cells(double* cells, const T* src, int64_t n) {
  double block[kTapeCells] = {};
  int64_t i = 0;
  for (; i + kTapeCells <= n; i += kTapeCells) {
    for (int64_t j = 0; j < kTapeCells; ++j) block[j] += static_cast<double>(src[i + j]);
  }
  for (; i < n; ++i) block[i % kTapeCells] += static_cast<double>(src[i]);
  for (int64_t j = 0; j < kTapeCells; ++j) cells[j] += block[j];
}

}  // namespace

// What one call holds on its stack.
struct TapeRunner::Run {
  const Context& context;
  const Window& window;
  std::byte* local;
  std::byte** pointer;  // by register
  const Override* acc;
  int64_t row = 0, rows = 0;  // of this block
  int64_t column = 0, columns = 0;
};

void TapeRunner::Step::run(std::byte* const* pointer, int64_t n) const {
  if (chain == nullptr) {
    kernel(pointer[dst], pointer[src[0]], pointer[src[1]], pointer[src[2]], n);
    return;
  }
  const std::byte* from[kChainOperands];
  std::byte* to[kChainResults] = {pointer[dst]};
  for (size_t i = 0; i < src.size(); ++i) from[i] = pointer[src[i]];
  for (size_t i = 0; i < also.size(); ++i) to[i + 1] = pointer[also[i]];
  chain(to, from, n);
}

// The elements first … first + n - 1 of a value: where they lie, or copied together.
void TapeRunner::fetch(Run& run, const Place& place, int64_t first, int64_t n) const {
  const int64_t width = place.buffer.dims.back(), size = place.size;
  std::byte* src = place.buffer.in<std::byte>(run.context);
  if (first % width + n <= width) {
    run.pointer[place.reg] = src + place.buffer.at(first) * size;
    return;
  }
  std::byte* dst = run.local + slot_[place.reg];
  run.pointer[place.reg] = dst;
  visit_runs(first, n, width, place.buffer.row_stride,
             [=](int64_t at, int64_t done, int64_t count) {
               copy_bytes(dst + done * size, src + at * size, count * size);
             });
}

// To the result's elements first … first + n - 1.
void TapeRunner::Store::run(const Context& context, const std::byte* src, int64_t first,
                            int64_t n) const {
  std::byte* dst = buffer.in<std::byte>(context);
  if (buffer.row_stride == 0) {
    copy(dst + first * size, src, src, src, n);
    return;
  }
  visit_runs(first, n, buffer.dims.back(), buffer.row_stride,
             [&](int64_t at, int64_t done, int64_t count) {
               if (repeats) {
                 copy(dst + at * size, src, src, src, count);
               } else {
                 copy_bytes(dst + at * size, src + done * size, count * size);
               }
             });
}

void TapeRunner::scalar_phase(Run& run) const {
  for (size_t reg = 0; reg < slot_.size(); ++reg) {
    if (slot_[reg] >= 0) run.pointer[reg] = run.local + slot_[reg];
    const TapeRegister& r = tape_.registers[reg];
    if (r.source == TapeRegister::Source::constant || r.source == TapeRegister::Source::rows) {
      const bool rows = r.source == TapeRegister::Source::rows;
      const double number = rows ? r.number * static_cast<double>(run.context.rows) : r.number;
      put_number(run.pointer[reg], r.dtype, number,
                 rows ? static_cast<int64_t>(number) : r.integer);
      repeat_element(run.pointer[reg], run.pointer[reg], kScalarCopies, size_of(r.dtype));
    }
  }
  for (const Place& place : scalars_) {
    const bool is_acc = run.acc != nullptr && place.reg == 0;
    repeat_element(run.pointer[place.reg],
                   is_acc ? run.acc->data : place.buffer.in<std::byte>(run.context), kScalarCopies,
                   place.size);
  }
  for (const Step& step : steps_[0]) {
    std::byte* dst = run.pointer[step.dst];
    step.run(run.pointer, 1);
    repeat_element(dst, dst, kScalarCopies, size_of(tape_.registers[step.dst].dtype));
  }
  for (const int64_t slot : sum_slot_) {
    std::memset(run.local + slot, 0, (kTapeCells + 1) * sizeof(double));
  }
}

// Once for the columns of a run's blocks: what depends on the column alone.
void TapeRunner::row_phase(Run& run) const {
  for (const Place& place : rows_) {
    run.pointer[place.reg] = place.buffer.in<std::byte>(run.context) + run.column * place.size;
  }
  for (const Place& place : apart_) {
    if (tape_.registers[place.reg].extent == Extent::row) {
      fetch(run, place, run.column, run.columns);
    }
  }
  for (const Step& step : steps_[static_cast<int>(Extent::row)]) {
    step.run(run.pointer, run.columns);
  }
  for (const Spread& spread : spread_rows_) {
    std::byte* src = run.pointer[spread.from];
    if (run.rows == 1) {
      run.pointer[spread.to] = src;
      continue;
    }
    const size_t bytes = static_cast<size_t>(run.columns * spread.size);
    for (int64_t i = 0; i < run.rows; ++i) {
      std::memcpy(run.pointer[spread.to] + static_cast<size_t>(i) * bytes, src, bytes);
    }
  }
  if (run.window.row != 0) return;
  for (const Store& store : stores_) {
    if (store.extent != Extent::row) continue;
    store.run(run.context, run.pointer[store.reg], run.column, run.columns);
  }
}

void TapeRunner::block(Run& run) const {
  const int64_t first = run.row * tape_.space.n + run.column;
  const int64_t n = run.rows * run.columns;
  for (const Place& place : blocks_) {
    run.pointer[place.reg] = place.buffer.in<std::byte>(run.context) + first * place.size;
  }
  if (run.acc != nullptr && tape_.registers[0].extent == Extent::full) {
    run.pointer[0] =
        const_cast<std::byte*>(run.acc->data) +
        ((run.row - run.window.row) * run.acc->stride + run.column - run.window.column) *
            size_of(tape_.registers[0].dtype);
  }
  for (const Place& place : columns_) {
    run.pointer[place.reg] = place.buffer.in<std::byte>(run.context) + run.row * place.size;
  }
  for (const Place& place : repeats_) {
    const int64_t repeat = tape_.registers[place.reg].repeat;
    const std::byte* src = place.buffer.in<std::byte>(run.context);
    std::byte* dst = run.pointer[place.reg];
    int64_t element = run.row / repeat;
    int64_t left = repeat - run.row % repeat;  // rows of the first element
    for (int64_t i = 0; i < run.rows; ++element, left = repeat) {
      const int64_t rows = std::min(left, run.rows - i);
      repeat_element(dst + i * place.size, src + place.buffer.at(element) * place.size, rows,
                     place.size);
      i += rows;
    }
  }
  for (const Place& place : apart_) {
    const Extent extent = tape_.registers[place.reg].extent;
    if (single_rows_) {
      run.pointer[place.reg] = place.buffer.in<std::byte>(run.context) +
                               (run.row * place.buffer.row_stride + run.column) * place.size;
      continue;
    }
    if (extent == Extent::full) fetch(run, place, first, n);
    if (extent == Extent::column) fetch(run, place, run.row, run.rows);
  }
  for (const Step& step : steps_[static_cast<int>(Extent::column)]) {
    step.run(run.pointer, run.rows);
  }
  for (const Spread& spread : spread_columns_) {
    for (int64_t i = 0; i < run.rows; ++i) {
      repeat_element(run.pointer[spread.to] + i * run.columns * spread.size,
                     run.pointer[spread.from] + i * spread.size, run.columns, spread.size);
    }
  }
  for (const Place& place : gathers_) {
    const std::vector<int64_t>& strides = tape_.registers[place.reg].strides;
    const std::byte* src = place.buffer.in<std::byte>(run.context);
    std::byte* dst = run.pointer[place.reg];
    for (int64_t i = 0; i < n; ++i) {
      int64_t rest = first + i, offset = 0;
      for (size_t axis = strides.size(); axis-- > 1;) {
        offset += rest % tape_.axes[axis] * strides[axis];
        rest /= tape_.axes[axis];
      }
      offset += rest * strides[0];
      std::memcpy(dst + i * place.size, src + offset * place.size, static_cast<size_t>(place.size));
    }
  }
  std::byte* const* pointer = run.pointer;
  for (const Step& step : steps_[static_cast<int>(Extent::full)]) {
    step.run(pointer, n);
  }
  for (const Store& store : stores_) {
    if (store.extent == Extent::full) {
      store.run(run.context, pointer[store.reg], first, n);
    } else if (store.extent == Extent::column && run.column == 0) {
      store.run(run.context, pointer[store.reg], run.row, run.rows);
    }
  }
  for (size_t i = 0; i < tape_.sums.size(); ++i) {
    const int32_t src = tape_.sums[i].src;
    double* cells = reinterpret_cast<double*>(run.local + sum_slot_[i]);
    if (tape_.registers[src].dtype == DType::f32) {
      add_to_cells(cells, reinterpret_cast<const float*>(pointer[src]), n);
    } else {
      add_to_cells(cells, reinterpret_cast<const double*>(pointer[src]), n);
    }
  }
}

// Adds the cells of each sum to its total, which stands behind them.
void TapeRunner::drain(Run& run) const {
  for (const int64_t slot : sum_slot_) {
    double* cells = reinterpret_cast<double*>(run.local + slot);
    for (int64_t half = kTapeCells / 2; half > 0; half /= 2) {
      for (int64_t j = 0; j < half; ++j) cells[j] += cells[j + half];
    }
    cells[kTapeCells] += cells[0];
    std::memset(cells, 0, kTapeCells * sizeof(double));
  }
}

void TapeRunner::finish(Run& run) const {
  for (size_t i = 0; i < tape_.sums.size(); ++i) {
    const double* cells = reinterpret_cast<const double*>(run.local + sum_slot_[i]);
    const int32_t dst = tape_.sums[i].dst;
    const DType dtype = tape_.registers[dst].dtype;
    put_number(run.pointer[dst], dtype, cells[kTapeCells], 0);
    repeat_element(run.pointer[dst], run.pointer[dst], kScalarCopies, size_of(dtype));
  }
  for (const Step& step : finale_) {
    std::byte* dst = run.pointer[step.dst];
    step.run(run.pointer, 1);
    repeat_element(dst, dst, kScalarCopies, size_of(tape_.registers[step.dst].dtype));
  }
  if (run.window.row != 0 || run.window.column != 0) return;
  for (const Store& store : stores_) {
    if (store.extent != Extent::scalar) continue;
    std::memcpy(store.buffer.in<std::byte>(run.context), run.pointer[store.reg],
                static_cast<size_t>(store.size));
  }
}

// The rows behind the first one of a window.
void TapeRunner::next_rows(Run& run) const {
  const std::vector<Step>& steps = steps_[static_cast<int>(Extent::full)];
  const auto move = [&] {
    for (const Next& next : next_) run.pointer[next.reg] += next.bytes;
  };
  move();
  if (sum_step_ > 0) {
    const Step& sum = steps[0];
    const std::byte* src[kChainOperands];
    for (size_t i = 0; i < sum.src.size(); ++i) src[i] = run.pointer[sum.src[i]];
    if (sum_rows({run.pointer[sum.dst], src, sum_step_, run.columns, run.window.row_end - run.row,
                  sum.terms, sum.moves})) {
      return;
    }
  }
  for (; run.row < run.window.row_end; ++run.row, move()) {
    for (const Step& step : steps) step.run(run.pointer, run.columns);
  }
}

void TapeRunner::blocks(Run& run) const {
  const Window& window = run.window;
  const int64_t columns = window.column_end - window.column;
  // Rows are one stretch of memory only where a window spans them.
  const bool whole = columns == tape_.space.n && (run.acc == nullptr || run.acc->stride == columns);
  const int64_t block_rows =
      whole && !single_rows_ ? std::max<int64_t>(kTapeBlock / columns, 1) : 1;
  int64_t until_drained = kTapeRun;
  for (run.column = window.column; run.column < window.column_end; run.column += kTapeBlock) {
    run.columns = std::min(kTapeBlock, window.column_end - run.column);
    run.rows = std::min(block_rows, window.row_end - window.row);
    row_phase(run);
    for (run.row = window.row; run.row < window.row_end; run.row += block_rows) {
      run.rows = std::min(block_rows, window.row_end - run.row);
      if (run.row > window.row && !next_.empty() && run.acc == nullptr) {
        next_rows(run);
        break;
      }
      block(run);
      if (--until_drained > 0) continue;
      drain(run);
      until_drained = kTapeRun;
    }
  }
  drain(run);
}

void TapeRunner::run(const Context& context, const Window& window, std::byte* local,
                     const Override* acc) const noexcept {
  if (window.column_end <= window.column) return;
  Run run{context, window, local, reinterpret_cast<std::byte**>(local), acc};
  scalar_phase(run);
  blocks(run);
  finish(run);
}

void TapeRunner::run_part(const Context& context, const Window& window, std::byte* local,
                          double* totals) const noexcept {
  Run run{context, window, local, reinterpret_cast<std::byte**>(local), nullptr};
  scalar_phase(run);
  blocks(run);
  for (size_t i = 0; i < sum_slot_.size(); ++i) {
    totals[i] = reinterpret_cast<const double*>(local + sum_slot_[i])[kTapeCells];
  }
}

void TapeRunner::end_parts(const Context& context, const double* totals, int64_t parts,
                           std::byte* local) const noexcept {
  const Window none{0, 0, 0, 0};
  Run run{context, none, local, reinterpret_cast<std::byte**>(local), nullptr};
  scalar_phase(run);
  for (size_t i = 0; i < sum_slot_.size(); ++i) {
    double& total = reinterpret_cast<double*>(local + sum_slot_[i])[kTapeCells];
    for (int64_t part = 0; part < parts; ++part)
      total += totals[part * sums() + static_cast<int64_t>(i)];
  }
  finish(run);
}

}  // namespace slim::SLIM_ISA_NAMESPACE
