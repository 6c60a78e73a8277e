// Kernels that move whole runs of bytes: reshape, concat, slice, pad.
#include <algorithm>
#include <cstring>

#include "cpu/check.h"
#include "cpu/kernel_set.h"
#include "cpu/lines.h"
#include "cpu/rows.h"
#include "cpu/split.h"
#include "kernels/fills.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

class ReshapeLaunch final : public Launch {
 public:
  explicit ReshapeLaunch(const Binding& binding)
      : src_(binding.operands[0]), dst_(binding.results[0]) {}

  int64_t tasks(int64_t rows) const override { return split_.tasks(bytes(rows)); }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    const std::byte* src = src_.in<std::byte>(context);
    std::byte* dst = dst_.in<std::byte>(context);
    if (src == dst) return;
    const int64_t first = split_.first(task);
    std::memcpy(dst + first, src + first, split_.last(task, bytes(context.rows)) - first);
  }

  Cost cost(int64_t rows) const override { return {0, 2.0 * bytes(rows)}; }

 private:
  int64_t bytes(int64_t rows) const { return dst_.count(rows) * size_of(dst_.dtype); }

  Buffer src_, dst_;
  Split split_ = Split::by_bytes(1);
};

Prepared prepare_reshape(const Binding& binding) {
  SLIM_ASSERT(binding.operands[0].count(1) == binding.results[0].count(1));
  return std::make_unique<ReshapeLaunch>(binding);
}

// A column or two of zeros, as a pad has, without a call.
void clear_bytes(std::byte* dst, int64_t n) {
  if (n == 4) {
    std::memset(dst, 0, 4);
  } else if (n == 8) {
    std::memset(dst, 0, 8);
  } else {
    std::memset(dst, 0, static_cast<size_t>(n));
  }
}

// Along `axis` every outer index of dst holds one run of each part:
//   dst row:  [ part 0 | part 1 | ... ]      src row of part i:  [ run ]
// A run of no source is zeros; a run may be a stretch of a longer source row (slice).
struct Part {
  enum Kind { copied, zero, in_place } kind;
  Buffer src;
  Count row;           // bytes from source row to source row
  Count run;           // bytes taken of each
  int64_t offset = 0;  // bytes before them
};

// Bytes of dims [axis, rank) of a buffer.
Count run_bytes(const Buffer& buffer, size_t axis) {
  const Count count = count_of(buffer, axis, buffer.dims.size());
  const int64_t size = size_of(buffer.dtype);
  return {count.fixed * size, count.per_row * size};
}

// The same up to the next run: rows lie apart only along the last axis.
Count row_bytes(const Buffer& buffer, size_t axis) {
  if (buffer.row_stride == 0) return run_bytes(buffer, axis);
  return {buffer.row_stride * size_of(buffer.dtype), 0};
}

bool in_place(const Part& part) { return part.kind == Part::in_place; }

bool lies_at(const Buffer& a, const Buffer& b, int64_t offset) {
  return a.base == b.base && a.offset == b.offset + offset;
}

class PartsLaunch final : public LineLaunch, public Fills {
 public:
  PartsLaunch(Buffer dst, size_t axis, std::vector<Part> parts)
      : LineLaunch(count_of(dst, 0, axis), split(dst, axis, parts), lines_in_row(dst, axis)),
        dst_(std::move(dst)),
        outer_(count_of(dst_, 0, axis)),
        row_(row_bytes(dst_, axis)),
        parts_(std::move(parts)),
        moved_(moved(parts_)) {
    for (size_t i = 0; i < axis; ++i) lines_ *= dst_.dims[i];
  }

  std::vector<Buffer> fills() const override {
    const bool moves = std::any_of(parts_.begin(), parts_.end(), [](const Part& part) {
      return part.kind == Part::copied || part.run.per_row > 0;
    });
    if (moves) return {};
    const int64_t size = size_of(dst_.dtype);
    std::vector<Buffer> all;
    int64_t column = dst_.offset;
    for (const Part& part : parts_) {
      if (part.kind == Part::zero && part.run.fixed > 0) {
        Buffer zeros{dst_.base, column, dst_.dtype, {lines_, part.run.fixed / size}};
        if (lines_ > 1) zeros.row_stride = row_.fixed / size;
        all.push_back(std::move(zeros));
      }
      column += part.run.fixed;
    }
    return all;
  }

  Cost cost(int64_t rows) const override {
    return {0, 2.0 * static_cast<double>(outer_(rows)) * static_cast<double>(moved_)};
  }

 private:
  // Lanes take the lines that they made, if some of these lie there already: to write to lines
  // of cache that another core holds costs more than to find them.
  static Split split(const Buffer& dst, size_t axis, const std::vector<Part>& parts) {
    const bool whole = std::none_of(parts.begin(), parts.end(), in_place);
    return whole ? Split::by_bytes(moved(parts))
                 : Split::by_bytes(row_bytes(dst, axis).fixed, 1, kSliceBytes);
  }

  // Bytes of a line.
  static int64_t moved(const std::vector<Part>& parts) {
    int64_t bytes = 0;
    for (const Part& part : parts) bytes += part.kind == Part::in_place ? 0 : part.run.fixed;
    return bytes;
  }

  void run_lines(const Context& context, int64_t first, int64_t last,
                 std::byte*) const noexcept override {
    const int64_t rows = context.rows;
    const int64_t dst_row = row_(rows);
    std::byte* column = dst_.in<std::byte>(context);
    for (const Part& part : parts_) {
      const int64_t run = part.run(rows), src_row = part.row(rows);
      if (part.kind == Part::zero) {
        for (int64_t i = first; i < last; ++i) clear_bytes(column + i * dst_row, run);
      } else if (part.kind == Part::copied) {
        const std::byte* src = part.src.in<std::byte>(context) + part.offset;
        for (int64_t i = first; i < last; ++i) {
          copy_bytes(column + i * dst_row, src + i * src_row, run);
        }
      }
      column += run;
    }
  }

  Buffer dst_;
  Count outer_, row_;
  int64_t lines_ = 1;  // at capacity
  std::vector<Part> parts_;
  int64_t moved_;  // bytes of a line, at capacity
};

// Nothing if all that it would copy lies there already.
Prepared parts_launch(const Buffer& dst, size_t axis, std::vector<Part> parts) {
  if (std::all_of(parts.begin(), parts.end(), in_place)) return {};
  return std::make_unique<PartsLaunch>(dst, axis, std::move(parts));
}

Prepared prepare_concat(const Binding& binding) {
  const Buffer& dst = binding.results[0];
  const size_t axis = axis_of(binding);
  std::vector<Part> parts;
  int64_t column = 0;
  for (size_t i = 0; i < binding.operands.size(); ++i) {
    const Buffer& src = binding.operands[i];
    const bool there = lies_at(src, dst, column);
    const Count run = run_bytes(src, axis);
    parts.push_back({there ? Part::in_place : Part::copied, src, row_bytes(src, axis), run});
    column += run.fixed;
  }
  return parts_launch(dst, axis, std::move(parts));
}

Prepared prepare_slice(const Binding& binding) {
  const Buffer& src = binding.operands[0];
  const Buffer& dst = binding.results[0];
  const size_t axis = axis_of(binding);
  const int64_t start = binding.integer("start", 0);
  const int64_t stop = binding.integer("stop", 0);
  if (stop > src.dims[axis]) {  // of an axis that only a plan knows
    binding.refuse(operand_text(binding, 0) + " from " + std::to_string(start) + " to " +
                   std::to_string(stop) + " along axis " + std::to_string(axis) + " is not " +
                   result_text(binding));
  }
  const int64_t unit = src.dims[axis] > 0 ? run_bytes(src, axis).fixed / src.dims[axis] : 0;
  const bool there = lies_at(dst, src, start * unit);
  return parts_launch(dst, axis,
                      {{there ? Part::in_place : Part::copied, src, row_bytes(src, axis),
                        run_bytes(dst, axis), start * unit}});
}

Prepared prepare_pad(const Binding& binding) {
  const Buffer& src = binding.operands[0];
  const Buffer& dst = binding.results[0];
  const size_t axis = axis_of(binding);
  const int64_t before = binding.integer("before", 0), after = binding.integer("after", 0);
  int64_t unit = size_of(dst.dtype);
  for (size_t i = axis + 1; i < dst.dims.size(); ++i) unit *= dst.dims[i];
  const bool there = lies_at(src, dst, before * unit);
  return parts_launch(
      dst, axis,
      {{Part::zero, src, {}, {before * unit, 0}},
       {there ? Part::in_place : Part::copied, src, row_bytes(src, axis), run_bytes(src, axis)},
       {Part::zero, src, {}, {after * unit, 0}}});
}

}  // namespace

SLIM_KERNEL(reshape, prepare_reshape);
SLIM_KERNEL(concat, prepare_concat);
SLIM_KERNEL(slice, prepare_slice);
SLIM_KERNEL(pad, prepare_pad);

}  // namespace slim::SLIM_ISA_NAMESPACE
