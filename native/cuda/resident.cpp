// Compiles and launches them.
#include "cuda/resident.h"

#include <algorithm>
#include <limits>

#include "cuda/launch.h"
#include "cuda/shapes.h"
#include "kernels/trace/preamble.h"

namespace slim::cuda {

const char* stored_type(SourceType type) {
  switch (type) {
    case SourceType::f32:
      return "float";
    case SourceType::f64:
      return "double";
    case SourceType::i8:
      return "signed char";
    case SourceType::i16:
      return "short";
    case SourceType::i32:
      return "int32_t";
    case SourceType::i64:
      return "int64_t";
    case SourceType::u16:
      return "unsigned short";
    case SourceType::u8:
    case SourceType::b8:
      break;
  }
  return "uint8_t";
}

StridedRows strided(const Gather& gather) {
  const Gather::Placed placed = gather.placed();
  StridedRows rows;
  rows.data = placed.data;
  rows.row_stride = placed.row_stride;
  rows.rows = gather.by_row() ? gather.source_rows() : 1;
  for (const Gather::Axis& axis : placed.inner) rows.add_axis(axis.extent, axis.stride);
  return rows;
}

Residents::Residents(Driver& driver) : driver_(driver), stream_(driver.open_stream()) {}

const Kernel& Residents::kernel(const std::string& call) {
  const std::lock_guard lock(mutex_);
  Loaded& loaded = kernels_[call];
  if (!loaded.kernel) {
    const std::string body =
        head_of({}, {"resident"}) + "\nextern \"C\" __global__ void __launch_bounds__(" +
        number(kThreads) + ") k0(const slim::StridedRows a) { slim::" + call + "(a); }\n";
    loaded.module = driver_.compile(preamble(body, Dialect::cuda) + body);
    loaded.kernel = loaded.module->kernel("k0", {1, kThreads});
  }
  return *loaded.kernel;
}

const Kernel& Residents::copying(const std::string& from, const std::string& kind,
                                 const std::string& to) {
  return kernel("copy_rows<" + kind + ", " + to + ", " + from + ">");
}

void Residents::copy(Stream& stream, const Kernel& copying,
                     const StridedRows& rows) const noexcept {
  driver_.launch(stream, copying, grid_over(rows.rows * rows.numbers), &rows, sizeof rows);
}

Piece<std::byte> Residents::copied(const Kernel& copying, StridedRows rows, int64_t bytes,
                                   const std::vector<uint32_t>& index) {
  Piece<uint32_t> order;
  const auto own = driver_.open_stream();
  const StreamEnd end(driver_, *own);
  if (!index.empty()) {
    order = sent(driver_, *own, index);
    rows.order = order.data();
    rows.rows = static_cast<int64_t>(index.size());
  }
  const int64_t size = std::max<int64_t>(rows.rows * rows.numbers * bytes, 1);
  Piece<std::byte> piece(driver_, static_cast<size_t>(size));
  rows.to = piece.data();
  copy(*own, copying, rows);
  driver_.wait(*own);
  return piece;
}

Seen Residents::look(const std::string& type, StridedRows rows) {
  const Kernel& looking = kernel("look_at_rows<" + type + ", " + number(kThreads) + '>');
  const auto own = driver_.open_stream();
  const Grid grid = grid_over(rows.rows * rows.numbers);
  std::vector<Seen> all(static_cast<size_t>(grid.blocks));
  const Piece<Seen> blocks(driver_, all.size());
  rows.to = blocks.data();
  driver_.launch(*own, looking, grid, &rows, sizeof rows);
  blocks.fetch(*own, all.data(), all.size());
  driver_.wait(*own);
  Seen seen{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(), 1};
  for (const Seen& block : all) {
    seen.least = std::min(seen.least, block.least);
    seen.most = std::max(seen.most, block.most);
    seen.finite &= block.finite;
  }
  return seen;
}

}  // namespace slim::cuda
