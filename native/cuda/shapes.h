// Sizes of buffers as numbers and as words of kernels' texts.
#pragma once

#include <algorithm>
#include <bit>
#include <string>

#include "cuda/launch.h"
#include "ir/ops.h"

namespace slim::cuda {

inline constexpr int64_t kWanted = 264;  // blocks that fill a GPU

// A product of dimensions: so much at capacity; > 0: so much for every row.
struct Count {
  int64_t capacity = 1;
  int64_t per_row = 0;

  std::string text() const {
    return per_row > 0 ? "(a.facts->rows * " + std::to_string(per_row) + ")"
                       : std::to_string(capacity) + "LL";
  }
};

// The elements of dims [first, last) of a buffer.
inline Count count_of(const Buffer& buffer, size_t first, size_t last) {
  Count count;
  for (size_t i = first; i < last; ++i) count.capacity *= buffer.dims[i];
  if (first == 0 && last > 0 && buffer.per_row > 0) {
    count.per_row = buffer.per_row;
    for (size_t i = 1; i < last; ++i) count.per_row *= buffer.dims[i];
  }
  return count;
}
inline Count count_of(const Buffer& buffer) { return count_of(buffer, 0, buffer.dims.size()); }

inline constexpr int kThreads = 256;

// For a loop over elements (first_index): where there are many, a thread takes several.
inline Grid grid_over(int64_t elements) {
  return {std::clamp<int64_t>((elements + kThreads - 1) / kThreads, 1, 132 * 16), kThreads};
}

// Threads that share n terms: a power of two.
inline int64_t power_below(int64_t n, int64_t most) {
  const auto floor = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(n)));
  return std::clamp<int64_t>(floor, 1, most);
}

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline void require_elements(const Binding& binding, const Buffer& buffer, int64_t axis) {
  if (buffer.dims[static_cast<size_t>(axis)] > 0) return;
  binding.refuse("axis " + std::to_string(axis) + " has no elements for these rows");
}

// A last axis of fixed length, 1 at least, under which the rows lie.
inline void require_last_axis(const Binding& binding) {
  const Buffer& rows = binding.operands[0];
  if (rows.dims.empty() || rows.dims.back() < 1 || (rows.dims.size() == 1 && rows.per_row > 0)) {
    binding.refuse("needs a last axis of fixed length");
  }
}

// A type of an element's size, for what is moved and not looked at.
inline DType word_of(DType dtype) {
  return size_of(dtype) == 1 ? DType::u8 : size_of(dtype) == 4 ? DType::i32 : DType::i64;
}

// The arguments of a kernel, as they are named in its text.
class Arguments {
 public:
  explicit Arguments(KernelText& text) : text_(text) {}

  std::string in(const Buffer& buffer) { return add(buffer, false, buffer.dtype); }
  std::string out(const Buffer& buffer) { return add(buffer, true, buffer.dtype); }
  // One of the arrays of a value that is not dense, as a pointer to this type.
  std::string array(const Buffer& buffer, Array array, const std::string& type) {
    text_.arguments.emplace_back(buffer, array);
    return "a.in<" + type + ">(" + std::to_string(text_.arguments.size() - 1) + ")";
  }
  // All that describe one (kernels/sparse.cuh).
  std::string sparse(const Buffer& buffer) {
    const std::string type = c_type(buffer.dtype);
    return "slim::Sparse<" + type + ">{" + array(buffer, Array::values, type) + ", " +
           array(buffer, Array::columns, "int") + ", " +
           array(buffer, Array::offsets, "long long") + ", " + array(buffer, Array::ids, "int") +
           ", " + array(buffer, Array::count, "long long") + "}";
  }

 private:
  std::string add(const Buffer& buffer, bool writes, DType dtype) {
    text_.arguments.push_back(buffer);
    if (is_sixteen_bits(dtype)) text_.headers.push_back("sixteen_bits");
    return pointer(text_.arguments.size() - 1, dtype, writes);
  }

  KernelText& text_;
};

// f(x, y, z) of words.
inline std::string call(const std::string& name, const std::vector<std::string>& arguments) {
  std::string text = name + '(';
  for (size_t i = 0; i < arguments.size(); ++i) text += (i > 0 ? ", " : "") + arguments[i];
  return text + ')';
}

inline std::string number(int64_t value) { return std::to_string(value); }

inline std::string words(const std::vector<int64_t>& numbers) {
  std::string text;
  for (const int64_t each : numbers) text += (text.empty() ? "" : ", ") + number(each);
  return text;
}

}  // namespace slim::cuda
