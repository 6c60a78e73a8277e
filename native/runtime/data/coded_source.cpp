// Numbers as places along curves: checked when they are bound, then read into batches.
#include "runtime/data/coded_source.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace slim {

CodedRows::CodedRows(const uint16_t* codes, int64_t rows, int64_t columns,
                     const std::vector<Coded>& numbers, const float* knots, int64_t knot_count,
                     const std::string& where)
    : codes_(codes), rows_(rows), columns_(columns), knots_(knots), knot_count_(knot_count) {
  std::vector<int64_t> largest(static_cast<size_t>(columns), 0);
  for (int64_t row = 0; row < rows; ++row) {
    const uint16_t* code = codes + row * columns;
    for (int64_t i = 0; i < columns; ++i) {
      auto& most = largest[static_cast<size_t>(i)];
      most = std::max<int64_t>(most, code[i]);
    }
  }
  reads_.reserve(numbers.size());
  for (const Coded& number : numbers) {
    const bool known = number.column >= 0 && number.column < columns && number.bits >= 0 &&
                       number.bits < 16 && number.begin >= 0 && number.begin < knot_count;
    // The knot behind the last one is read too, for nothing.
    if (!known || number.begin + (largest[static_cast<size_t>(number.column)] >> number.bits) + 1 >=
                      knot_count) {
      throw std::invalid_argument(where + "codes lie outside its columns or curves");
    }
    const uint32_t one = 1U << number.bits;
    reads_.push_back({knots + number.begin, static_cast<uint32_t>(number.column),
                      static_cast<uint16_t>(number.bits), static_cast<uint16_t>(one - 1),
                      1.0F / static_cast<float>(one)});
  }
}

std::vector<Coded> CodedRows::read() const {
  std::vector<Coded> numbers;
  numbers.reserve(reads_.size());
  for (const Read& read : reads_) numbers.push_back({read.column, read.knots - knots_, read.bits});
  return numbers;
}

void CodedRows::copy_codes(uint16_t* to, const uint32_t* index, int64_t count) const noexcept {
  const auto bytes = static_cast<size_t>(columns_) * sizeof *codes_;
  for (int64_t row = 0; row < count; ++row) {
    const int64_t from = index != nullptr ? int64_t{index[row]} : row;
    std::memcpy(to + row * columns_, codes_ + from * columns_, bytes);
  }
}

void CodedRows::copy(float* batch, const uint32_t* index, int64_t first, int64_t begin,
                     int64_t end) const noexcept {
  for (int64_t row = begin; row < end; ++row) {
    const int64_t from = index != nullptr ? int64_t{index[first + row]} : first + row;
    const uint16_t* codes = codes_ + from * columns_;
    float* out = batch + row * numbers();
    for (const Read& read : reads_) {
      const uint32_t code = codes[read.column];
      const float* knot = read.knots + (code >> read.bits);
      const float way = static_cast<float>(static_cast<int32_t>(code & read.mask)) * read.part;
      *out++ = knot[0] + way * (knot[1] - knot[0]);
    }
  }
}

}  // namespace slim
