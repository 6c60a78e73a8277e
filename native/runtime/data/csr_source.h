// Rows of a compressed sparse matrix: checked when they are bound, then copied into batches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/kernel.h"

namespace slim {

// Borrowed, never copied, possibly read-only or mapped from a file. Row i has the stored
// elements offsets[i] … offsets[i + 1] - 1.
struct CsrArrays {
  const std::byte* values = nullptr;
  const std::byte* columns = nullptr;
  const std::byte* offsets = nullptr;
  DType dtype = DType::f32;   // of the values
  bool wide_columns = false;  // int64, not int32
  bool wide_offsets = false;
  int64_t stored = 0;  // elements of values and columns
};

class CsrRows {
 public:
  // Throws std::invalid_argument where the arrays are no matrix of this shape whose columns
  // rise within each row; `where` leads the text.
  CsrRows(const CsrArrays& arrays, int64_t rows, int64_t columns, const std::string& where);
  // Matrices checked so far: each look reads all of one.
  static int64_t checks();

  // The most elements that so many rows of the index may have; of all rows without an index.
  int64_t most_stored(int64_t rows, const std::vector<uint32_t>& index) const;
  double mean_stored() const;
  DType dtype() const { return arrays_.dtype; }
  int64_t stored() const { return offset(rows_) - offset(0); }

  // All rows as a device keeps them: the first stored element is number 0.
  struct Packed {
    DType dtype = DType::f32;  // of the values
    int64_t stored = 0;
    const std::byte* values = nullptr;
    const int32_t* columns = nullptr;
    std::vector<int64_t> offsets;
    std::vector<int32_t> narrowed;  // the columns, where they do not lie so already
  };
  Packed packed() const;

  // As Gather::run, into a batch whose values are of `dtype`.
  void copy(const SparseBatch& batch, DType dtype, const uint32_t* index, int64_t first,
            int64_t begin, int64_t end) const noexcept;

 private:
  int64_t offset(int64_t row) const { return wide(arrays_.offsets, row, arrays_.wide_offsets); }
  static int64_t wide(const std::byte* data, int64_t i, bool is_wide) {
    return is_wide ? reinterpret_cast<const int64_t*>(data)[i]
                   : reinterpret_cast<const int32_t*>(data)[i];
  }
  template <class Id>
  void check_columns(int64_t columns, const std::string& where) const;

  CsrArrays arrays_;
  int64_t rows_;
};

}  // namespace slim
