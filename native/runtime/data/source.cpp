// The gather: rows of any strided source, converted on their way into the batch.
#include "runtime/data/source.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include "kernels/convert.h"

namespace slim {
namespace {

template <class Dst, class Src>
Dst convert(Src value) {
  if constexpr (std::is_same_v<Dst, bool>) {
    return value != Src{0};
  } else if constexpr (std::is_floating_point_v<Dst> || std::is_same_v<Dst, Src>) {
    return static_cast<Dst>(value);
  } else if constexpr (std::is_floating_point_v<Src>) {
    return whole_number<Dst>(value);
  } else {
    const int64_t wide = static_cast<int64_t>(value);
    if (wide > static_cast<int64_t>(std::numeric_limits<Dst>::max())) {
      return std::numeric_limits<Dst>::max();
    }
    if (wide < static_cast<int64_t>(std::numeric_limits<Dst>::min())) {
      return std::numeric_limits<Dst>::min();
    }
    return static_cast<Dst>(wide);
  }
}

// memcpy: a strided view may stand at any address. A function of its own: there is one for all
// ways to it.
template <class Src, class Dst>
[[gnu::noinline]] void convert_run(std::byte* __restrict dst, const std::byte* __restrict src,
                                   int64_t count, int64_t stride) {
  if (stride == static_cast<int64_t>(sizeof(Src))) {
    if constexpr (std::is_same_v<Src, Dst>) {
      std::memcpy(dst, src, static_cast<size_t>(count) * sizeof(Src));
      return;
    }
    stride = sizeof(Src);  // known to the compiler: the loop below becomes vectors
    for (int64_t i = 0; i < count; ++i) {
      Src value;
      std::memcpy(&value, src + i * static_cast<int64_t>(sizeof(Src)), sizeof(Src));
      const Dst converted = convert<Dst>(value);
      std::memcpy(dst + i * static_cast<int64_t>(sizeof(Dst)), &converted, sizeof(Dst));
    }
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    Src value;
    std::memcpy(&value, src + i * stride, sizeof(Src));
    const Dst converted = convert<Dst>(value);
    std::memcpy(dst + i * static_cast<int64_t>(sizeof(Dst)), &converted, sizeof(Dst));
  }
}

// n times an element.
template <int size>
void pad(std::byte* dst, const std::byte* element, int64_t n) {
  for (int64_t i = 0; i < n; ++i) std::memcpy(dst + i * size, element, size);
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i ? ", " : "") + std::to_string(shape[i]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace

// A label, a weight: one number of a row.
template <class Src, class Dst>
void Gather::copy_numbers(const Gather& gather, const std::byte* data, std::byte* dst,
                          const Rows& rows) noexcept {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    Src value;
    std::memcpy(&value, data + rows.at(row) * gather.row_stride_, sizeof(Src));
    const Dst converted = convert<Dst>(value);
    std::memcpy(dst + row * static_cast<int64_t>(sizeof(Dst)), &converted, sizeof(Dst));
  }
}

void Gather::copy(const std::byte* data, std::byte* dst, const Rows& rows) const noexcept {
  if (inner_.empty()) return numbers_(*this, data, dst, rows);
  const Axis last = inner_.back();
  if (inner_.size() == 1) {
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      const std::byte* src = data + rows.at(row) * row_stride_;
      convert_(dst + row * row_bytes_, src, last.extent, last.stride);
    }
    return;
  }
  int64_t last_bytes = row_bytes_;
  for (size_t axis = 0; axis + 1 < inner_.size(); ++axis) last_bytes /= inner_[axis].extent;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const std::byte* src = data + rows.at(row) * row_stride_;
    std::byte* out = dst + row * row_bytes_;
    int64_t position[8] = {};  // an odometer over the outer axes
    for (bool more = true; more;) {
      convert_(out, src, last.extent, last.stride);
      out += last_bytes;
      more = false;
      for (size_t axis = inner_.size() - 1; axis-- > 0;) {
        src += inner_[axis].stride;
        if (++position[axis] < inner_[axis].extent) {
          more = true;
          break;
        }
        src -= inner_[axis].extent * inner_[axis].stride;
        position[axis] = 0;
      }
    }
  }
}

// What a row lacks in steps is padding.
void Gather::copy_ragged(const std::byte* data, std::byte* dst, const Rows& rows) const noexcept {
  const int64_t numbers = inner_[0].extent, size = bytes_of(type_);
  const int64_t whole = steps_ * numbers;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t from = rows.at(row);
    const int64_t own = std::min(ragged_->length(from), steps_) * numbers;
    std::byte* out = dst + row * row_bytes_;
    convert_(out, data + ragged_->offsets[from] * numbers * size, own, size);
    const int64_t element = size_of(buffer_.dtype), n = whole - own;
    out += own * element;
    if (element == 4) {
      pad<4>(out, padding_, n);
    } else if (element == 8) {
      pad<8>(out, padding_, n);
    } else {
      pad<1>(out, padding_, n);
    }
  }
}

template <class Src, class Dst>
void Gather::choose_both() {
  convert_ = convert_run<Src, Dst>;
  numbers_ = copy_numbers<Src, Dst>;
  if (ragged_) {
    const Dst padding = convert<Dst>(ragged_->padding);
    std::memcpy(padding_, &padding, sizeof(Dst));
  }
}

template <class Src>
void Gather::choose_for(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return choose_both<Src, float>();
    case DType::f64:
      return choose_both<Src, double>();
    case DType::i32:
      return choose_both<Src, int32_t>();
    case DType::i64:
      return choose_both<Src, int64_t>();
    case DType::b8:
      return choose_both<Src, bool>();
    case DType::u8:
      return choose_both<Src, uint8_t>();
    case DType::bf16:
    case DType::f16:
      break;  // of no input
  }
}

Gather::Gather(const InputSlot& slot, const Source& source)
    : buffer_(slot.buffer),
      type_(source.type),
      data_(source.data),
      by_row_(slot.by_row),
      resident_(source.resident) {
  const std::string where = "[input " + slot.name + "] source " + slot.source;
  const bool wants_csr = slot.buffer.storage == Storage::csr;
  if (wants_csr != source.csr.has_value()) {
    throw std::invalid_argument(
        where + (wants_csr ? " is dense, needed are sparse rows: give a SciPy CSR matrix"
                           : " is a sparse matrix, needed is a dense array: give X.toarray()"));
  }
  if (wants_csr) {
    source_rows_ = source.shape[0];
    if (source.shape[1] != slot.buffer.dims[1]) {
      throw std::invalid_argument(where + " has the shape " + shape_text(source.shape) +
                                  ", needed is " + shape_text({source_rows_, slot.buffer.dims[1]}));
    }
    csr_ = source.csr;
    return;
  }
  if (source.ragged) {
    bind_ragged(slot, source, where);
    return;
  }
  if (source.coded) {
    bind_coded(slot, source, where);
    return;
  }
  std::vector<int64_t> wanted = slot.buffer.dims;
  std::vector<int64_t> given = source.shape;
  const bool has_rows = by_row_ && !given.empty();
  if (has_rows && !wanted.empty()) wanted[0] = given[0];
  if (!slot.columns.empty() && given.size() >= 2) {
    if (slot.columns[1] > given[1]) {
      throw std::invalid_argument("[input " + slot.name + "] source " + slot.source +
                                  " has the shape " + shape_text(source.shape) +
                                  ", needed are columns " + std::to_string(slot.columns[0]) +
                                  " to " + std::to_string(slot.columns[1]));
    }
    given[1] = slot.columns[1] - slot.columns[0];
  }
  if (given != wanted || given.size() > 8) {
    if (by_row_ && !wanted.empty()) wanted[0] = given.empty() ? 0 : given[0];
    throw std::invalid_argument("[input " + slot.name + "] source " + slot.source +
                                " has the shape " + shape_text(source.shape) + ", needed is " +
                                shape_text(wanted));
  }
  if (!slot.columns.empty()) columns_offset_ = slot.columns_start() * source.strides[1];
  if (has_rows) {
    row_stride_ = source.strides[0];
    source_rows_ = given[0];
  }
  row_bytes_ = size_of(buffer_.dtype);
  for (size_t axis = has_rows ? 1 : 0; axis < given.size(); ++axis) {
    row_bytes_ *= given[axis];
    if (given[axis] == 1) continue;
    const Axis next{given[axis], source.strides[axis]};
    if (!inner_.empty() && inner_.back().stride == next.extent * next.stride) {
      inner_.back() = {inner_.back().extent * next.extent, next.stride};
    } else {
      inner_.push_back(next);
    }
  }
  choose(source.type);
}

void Gather::bind_ragged(const InputSlot& slot, const Source& source, const std::string& where) {
  const std::vector<int64_t>& wanted = slot.buffer.dims;
  const bool fits = by_row_ && wanted.size() == source.shape.size() && slot.columns.empty() &&
                    std::equal(wanted.begin() + 1, wanted.end(), source.shape.begin() + 1);
  if (!fits) {
    throw std::invalid_argument(where + " has rows of up to " + std::to_string(source.shape[1]) +
                                " steps, as " + shape_text(source.shape) + ", needed is " +
                                shape_text(wanted));
  }
  ragged_ = source.ragged;
  source_rows_ = source.shape[0];
  steps_ = source.shape[1];
  int64_t numbers = 1;
  for (size_t axis = 2; axis < wanted.size(); ++axis) numbers *= wanted[axis];
  inner_.push_back({numbers, 0});
  row_bytes_ = steps_ * numbers * size_of(buffer_.dtype);
  choose(source.type);
}

void Gather::bind_coded(const InputSlot& slot, const Source& source, const std::string& where) {
  const std::vector<int64_t>& wanted = slot.buffer.dims;
  const bool fits = by_row_ && slot.columns.empty() && slot.buffer.dtype == DType::f32 &&
                    wanted.size() == 2 && wanted[1] == source.coded->numbers();
  if (!fits) {
    throw std::invalid_argument(where + " has codes of " + shape_text(source.shape) +
                                " numbers of float32, needed is " + shape_text(wanted));
  }
  coded_ = source.coded;
  source_rows_ = coded_->rows();
  row_bytes_ = wanted[1] * size_of(DType::f32);
  type_ = SourceType::u16;
}

void Gather::choose(SourceType type) {
  switch (type) {
    case SourceType::f32:
      return choose_for<float>(buffer_.dtype);
    case SourceType::f64:
      return choose_for<double>(buffer_.dtype);
    case SourceType::i8:
      return choose_for<int8_t>(buffer_.dtype);
    case SourceType::i16:
      return choose_for<int16_t>(buffer_.dtype);
    case SourceType::i32:
      return choose_for<int32_t>(buffer_.dtype);
    case SourceType::i64:
      return choose_for<int64_t>(buffer_.dtype);
    case SourceType::u8:
      return choose_for<uint8_t>(buffer_.dtype);
    case SourceType::u16:
      return choose_for<uint16_t>(buffer_.dtype);
    case SourceType::b8:
      return choose_for<bool>(buffer_.dtype);
  }
}

int64_t Gather::packed_row_bytes() const {
  if (coded_) return coded_->columns() * bytes_of(type_);
  return row_bytes_ / size_of(buffer_.dtype) * bytes_of(type_);
}

void Gather::pack(std::byte* to, const uint32_t* index, int64_t count) const noexcept {
  if (coded_) return coded_->copy_codes(reinterpret_cast<uint16_t*>(to), index, count);
  Gather same = *this;  // but that it converts nothing
  same.row_bytes_ = packed_row_bytes();
  switch (bytes_of(type_)) {
    case 1:
      same.choose_both<uint8_t, uint8_t>();
      break;
    case 2:
      same.choose_both<int16_t, int16_t>();
      break;
    case 4:
      same.choose_both<int32_t, int32_t>();
      break;
    default:
      same.choose_both<int64_t, int64_t>();
  }
  same.copy(data_ + columns_offset_, to, {index, 0, 0, count});
}

bool Gather::is_packed() const {
  const bool whole = inner_.empty() || (inner_.size() == 1 && inner_[0].stride == bytes_of(type_));
  return whole && (row_stride_ == packed_row_bytes() || source_rows_ == 1);
}

PackedRows Gather::packed() const {
  PackedRows rows;
  const int64_t element = bytes_of(type_), row = packed_row_bytes();
  if (ragged_) {  // whose steps lie one after the other
    rows.bytes = ragged_->offsets[source_rows_] * inner_[0].extent * element;
    rows.data = data_;
    return rows;
  }
  rows.bytes = row * source_rows_;
  if (coded_) {
    rows.data = reinterpret_cast<const std::byte*>(coded_->codes());
    return rows;
  }
  if (is_packed()) {
    rows.data = data_ + columns_offset_;
    return rows;
  }
  rows.own.resize(static_cast<size_t>(rows.bytes));
  if (rows.bytes > 0) pack(rows.own.data(), nullptr, source_rows_);
  rows.data = rows.own.data();
  return rows;
}

double Gather::row_bytes() const {
  if (!csr_) return static_cast<double>(row_bytes_);
  return csr_->mean_stored() * static_cast<double>(size_of(buffer_.dtype) + 4);
}

void Gather::run(const Context& context, const uint32_t* index, int64_t first, int64_t begin,
                 int64_t end) const noexcept {
  if (csr_) return csr_->copy(buffer_.sparse_in(context), buffer_.dtype, index, first, begin, end);
  if (row_bytes_ == 0) return;
  if (coded_) return coded_->copy(buffer_.in<float>(context), index, first, begin, end);
  std::byte* dst = buffer_.in<std::byte>(context);
  if (by_row_) {
    copy_rows(data_ + columns_offset_, dst, {index, first, begin, end});
  } else if (begin == 0) {
    copy_rows(data_ + columns_offset_, dst, {nullptr, 0, 0, 1});
  }
}

void Gather::run_from(const std::byte* data, const Context& context, int64_t begin,
                      int64_t end) const noexcept {
  copy_rows(data + columns_offset_, buffer_.in<std::byte>(context), {nullptr, 0, begin, end});
}

}  // namespace slim
