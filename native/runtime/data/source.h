// Named data of a call, in whatever type and strides it came, and its way into a batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/kernel.h"
#include "runtime/data/coded_source.h"
#include "runtime/data/csr_source.h"

namespace slim {

enum class SourceType : uint8_t { f32, f64, i8, i16, i32, i64, u8, u16, b8 };
inline constexpr size_t kSourceTypes = 9;

inline int64_t bytes_of(SourceType type) {
  constexpr int64_t kBytes[] = {4, 8, 1, 2, 4, 8, 1, 2, 1};
  return kBytes[static_cast<size_t>(type)];
}

// Rows of different length: row i has the steps offsets[i] … offsets[i + 1] - 1 of the data, which
// are contiguous, and in a batch `padding` behind them.
struct RaggedRows {
  const int64_t* offsets = nullptr;
  std::vector<int64_t> sizes;  // steps that a batch may have, rising
  double padding = 0;

  int64_t length(int64_t row) const { return offsets[row + 1] - offsets[row]; }
};

// Borrowed, never copied, possibly read-only. Axis 0 are the rows.
struct Source {
  std::string name;
  SourceType type = SourceType::f32;
  const std::byte* data = nullptr;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;      // bytes, any sign
  std::optional<CsrRows> csr;        // a sparse matrix; then type, data and strides say nothing
  std::optional<RaggedRows> ragged;  // then shape[1] are the steps of a batch
  std::optional<CodedRows> coded;    // then type, data and strides say nothing
  bool resident = false;             // the data lie in the memory of the device that runs a plan
};

// An `input` of a plan: what it reads and where the batch's rows go.
struct InputSlot {
  std::string name;  // the value's
  std::string source;
  Buffer buffer;
  bool by_row = true;            // leading dimension is the batch; otherwise the whole source
  std::vector<int64_t> columns;  // {start, stop} of axis 1, or empty

  int64_t columns_start() const { return columns.empty() ? 0 : columns[0]; }
};

// All rows of a source that an input reads, one after the other in the source's own type.
struct PackedRows {
  const std::byte* data = nullptr;
  int64_t bytes = 0;
  std::vector<std::byte> own = {};  // where they do not lie so already
};

// Rows of a source, converted to the type of an input. Floats become integers toward zero
// and integers narrow by saturation, so a value out of range stays out of range.
class Gather {
 public:
  struct Axis {
    int64_t extent;
    int64_t stride;
  };
  // Where the rows of a dense source lie: the first of them, and the axes under each.
  struct Placed {
    const std::byte* data;
    int64_t row_stride;
    const std::vector<Axis>& inner;
  };

  // Throws std::invalid_argument where the source's shape does not fit the input.
  Gather(const InputSlot& slot, const Source& source);

  // Batch row i is source row index[first + i], or first + i without an index; fills the
  // rows begin…end-1 of the batch.
  void run(const Context& context, const uint32_t* index, int64_t first, int64_t begin,
           int64_t end) const noexcept;
  // The same from other data of the same type and strides.
  void run_from(const std::byte* data, const Context& context, int64_t begin,
                int64_t end) const noexcept;
  // Of a sparse source: other rows, as wide.
  void rebind(const CsrRows& rows) { csr_ = rows; }

  // Of a dense source, or the codes of a coded one.
  PackedRows packed() const;
  // Some of these rows, as an index lists them; null: from the first on. Not of ragged ones.
  int64_t packed_row_bytes() const;
  void pack(std::byte* to, const uint32_t* index, int64_t count) const noexcept;

  const Buffer& buffer() const { return buffer_; }
  SourceType type() const { return type_; }
  double row_bytes() const;
  const std::optional<CsrRows>& csr() const { return csr_; }
  const std::optional<RaggedRows>& ragged() const { return ragged_; }
  const std::optional<CodedRows>& coded() const { return coded_; }
  int64_t source_rows() const { return source_rows_; }
  bool by_row() const { return by_row_; }
  // Of data that the host cannot read: then it only counts with addresses.
  bool resident() const { return resident_; }
  Placed placed() const { return {data_ + columns_offset_, row_stride_, inner_}; }
  // Whether rows lie one after the other, and the numbers of a row too.
  bool is_packed() const;

 private:
  struct Rows {
    const uint32_t* index;
    int64_t first;
    int64_t begin;
    int64_t end;

    int64_t at(int64_t row) const { return index != nullptr ? index[first + row] : first + row; }
  };
  // So many numbers, `stride` bytes apart.
  using Convert = void (*)(std::byte* dst, const std::byte* src, int64_t count, int64_t stride);
  using Numbers = void (*)(const Gather&, const std::byte* data, std::byte* dst,
                           const Rows&) noexcept;
  template <class Src>
  void choose_for(DType dtype);
  template <class Src, class Dst>
  void choose_both();
  void copy(const std::byte* data, std::byte* dst, const Rows& rows) const noexcept;
  void copy_ragged(const std::byte* data, std::byte* dst, const Rows& rows) const noexcept;
  void copy_rows(const std::byte* data, std::byte* dst, const Rows& rows) const noexcept {
    ragged_ ? copy_ragged(data, dst, rows) : copy(data, dst, rows);
  }
  void bind_ragged(const InputSlot& slot, const Source& source, const std::string& where);
  void bind_coded(const InputSlot& slot, const Source& source, const std::string& where);
  void choose(SourceType type);
  template <class Src, class Dst>
  static void copy_numbers(const Gather& gather, const std::byte* data, std::byte* dst,
                           const Rows& rows) noexcept;

  Buffer buffer_;
  SourceType type_;
  const std::byte* data_;
  int64_t columns_offset_ = 0;  // bytes
  int64_t row_stride_ = 0;
  int64_t row_bytes_ = 0;
  int64_t source_rows_ = 1;
  bool by_row_;
  bool resident_;
  std::vector<Axis> inner_;  // under one row, neighbours that touch made one
  Convert convert_ = nullptr;
  Numbers numbers_ = nullptr;
  std::optional<CsrRows> csr_;        // then nothing but the buffer above says anything
  std::optional<RaggedRows> ragged_;  // then inner_ is one step
  int64_t steps_ = 0;                 // of a batch's rows
  std::optional<CodedRows> coded_;    // then nothing but the buffer and the bytes of a row
  std::byte padding_[8] = {};         // as the batch's type
};

}  // namespace slim
