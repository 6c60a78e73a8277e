// Arrays that others keep on the GPU, such as CuPy's: rows of them, copied where they lie.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda/memory.h"
#include "runtime/data/source.h"

namespace slim::cuda {

// As kernels write it.
const char* stored_type(SourceType type);

// As kernels/resident.cuh has it.
struct StridedRows {
  static constexpr size_t kAxes = 8;
  const std::byte* data = nullptr;
  void* to = nullptr;
  const uint32_t* order = nullptr;
  int64_t first = 0, rows = 1, row_stride = 0;
  int64_t numbers = 1, axes = 0;
  int64_t extents[kAxes] = {}, strides[kAxes] = {};

  void add_axis(int64_t extent, int64_t stride) {
    extents[axes] = extent;
    strides[axes++] = stride;
    numbers *= extent;
  }
};

// All rows that a gather reads.
StridedRows strided(const Gather& gather);

struct Seen {
  double least, most;  // of the finite numbers
  int64_t finite;      // 1: there are no others
};

// Kernels for such arrays, each compiled when it is asked for first, and a stream. From any thread.
class Residents {
 public:
  explicit Residents(Driver& driver);  // throws DriverError

  // That makes numbers of one type those of another; `kind` says how. Throws DriverError.
  const Kernel& copying(const std::string& from, const std::string& kind, const std::string& to);
  void copy(Stream& stream, const Kernel& copying, const StridedRows& rows) const noexcept;
  // The same in a piece of its own, once it is there: of so many bytes a number, and the rows that
  // an index lists (none: all). Throws DriverError, OutOfMemory.
  Piece<std::byte> copied(const Kernel& copying, StridedRows rows, int64_t bytes,
                          const std::vector<uint32_t>& index = {});
  // Throws DriverError, OutOfMemory.
  Seen look(const std::string& type, StridedRows rows);

  // On which others say when their arrays are complete.
  Stream& stream() const { return *stream_; }

 private:
  const Kernel& kernel(const std::string& call);

  struct Loaded {
    std::unique_ptr<Module> module;
    std::unique_ptr<Kernel> kernel;
  };
  Driver& driver_;
  std::unique_ptr<Stream> stream_;
  std::mutex mutex_;
  std::map<std::string, Loaded> kernels_;
};

}  // namespace slim::cuda
