// Tapes as source text: C99 for exports and tests, CUDA for NVRTC.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "kernels/tape.h"
#include "kernels/trace/preamble.h"

namespace slim {

// A file to which functions are added, one a tape:
//
//   void name(int64_t rows, const float *x0, const uint8_t *x1, ..., float *y0, ...)
//
// with `rows` of this batch, then the operands and the results in order, whose extents, repeats
// and strides are written into the function as the tape and its buffers have them: it runs for
// any number of rows. Pointers are to elements (bool and u8: uint8_t). A result may lie where an
// operand of its extent does; in CUDA only if it has all elements. In CUDA it is `extern "C"
// __global__` and takes any grid.
//
// A function gives the bits of the kernels of a level with fma (in C with -DSLIM_NO_FMA: of one
// without) if it is compiled without contraction, uses the same libm (pow, erf of f64, sin and cos
// of large angles) and runs in their floating-point mode, which flushes denormals. NaNs may differ
// in sign and payload. Totals are added in the kernels' order where these do not cut them into
// slices.
class SourceFile {
 public:
  // In CUDA: a kernel, a function that a kernel calls with all its threads, or one for a single
  // element, (rows, its index, its value of the first operand, the other operands, results).
  // In C: one for any number of rows, or static, without `rows`, for sizes that are all numbers.
  enum class Entry : uint8_t { kernel, device, element, fixed };

  explicit SourceFile(Dialect dialect, Entry entry = Entry::kernel)
      : dialect_(dialect), entry_(entry) {}

  // Refuses, in the binding's name, what cannot be printed: in CUDA a total over all elements, but
  // in a function that one block calls, which finds slim_block_sum (cuda/kernels/total.cuh).
  // Throws std::invalid_argument if the name is no identifier.
  void add(const std::string& name, const Binding& binding, const Tape& tape,
           const std::vector<Buffer>& operands);

  // With the functions of elementwise ops that those added need.
  std::string text() const;
  // Its two parts, for a file of more than tapes.
  const std::map<std::string, std::string>& formulas() const { return formulas_; }
  const std::string& functions() const { return functions_; }

 private:
  friend class TapePrinter;

  Dialect dialect_;
  Entry entry_;
  std::map<std::string, std::string> formulas_;  // by name
  std::string functions_;
};

}  // namespace slim
