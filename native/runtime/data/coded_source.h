// Numbers that are held as places along curves, in 16 bits each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace slim {

// How one of a row's numbers is read from one of its codes: the code's upper bits are a knot of
// the curve that begins at `begin`, the lower `bits` how far it is to the knot behind it.
struct Coded {
  int64_t column = 0;
  int64_t begin = 0;
  int64_t bits = 0;
};

class CodedRows {
 public:
  // Borrowed: codes (rows, columns) in C order, and the curves' knots, one behind the other.
  // Throws std::invalid_argument where a code would be read beside them.
  CodedRows(const uint16_t* codes, int64_t rows, int64_t columns, const std::vector<Coded>& numbers,
            const float* knots, int64_t knot_count, const std::string& where);

  int64_t rows() const { return rows_; }
  int64_t numbers() const { return static_cast<int64_t>(reads_.size()); }
  // Of a row: its codes.
  int64_t columns() const { return columns_; }
  const uint16_t* codes() const { return codes_; }
  void copy_codes(uint16_t* to, const uint32_t* index, int64_t count) const noexcept;
  // All curves, and how each number is read.
  const float* knots() const { return knots_; }
  int64_t knot_count() const { return knot_count_; }
  std::vector<Coded> read() const;
  // Rows begin…end-1 of a batch, as Gather::run.
  void copy(float* batch, const uint32_t* index, int64_t first, int64_t begin,
            int64_t end) const noexcept;

 private:
  // As the copy reads it: a row of knots, and of a code the part that is its place between two.
  struct Read {
    const float* knots;
    uint32_t column;
    uint16_t bits, mask;
    float part;
  };

  const uint16_t* codes_;
  int64_t rows_, columns_;
  const float* knots_;
  int64_t knot_count_;
  std::vector<Read> reads_;
};

}  // namespace slim
