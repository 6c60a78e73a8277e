// What a kernel family offers and what a launch may see: the boundary between plan and device.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace slim {

// How many values a loop, with those around it, can take and leave in steps without a copy.
inline constexpr int kMovingBases = 32;

// The arenas a launch can address. Offsets live in launches, pointers in the Context. `sparse`
// is none: its offsets count the values that are not dense. `packed` holds what was made of the
// program's arrays before the call. `moving` and those behind it are none either: slices of
// values elsewhere, from step to step of a loop another one.
enum class Base : uint8_t {
  scratch,
  param,
  gradient,
  state,
  slot,
  hyper,
  sparse,
  packed,
  moving,
  count = moving + kMovingBases
};
inline constexpr int kBaseCount = static_cast<int>(Base::count);

// Every arena and every buffer in it starts at a multiple of kAlignment bytes, and
// kAlignment bytes after a buffer's end may be read (never written): vector loads need no mask.
inline constexpr int64_t kAlignment = 64;

enum StatusBit : uint32_t {
  kBadIndex = 1,           // gather: an id out of range (clamped)
  kBadLabel = 2,           // a label >= classes or < 0 (clamped)
  kNonFiniteGradient = 4,  // a block of the update kept its old weights
};

// A value of csr or rows storage in one call, which owns the arrays: their size depends on
// the data. Of csr rows only those listed have stored elements.
struct SparseBatch {
  std::byte* values = nullptr;  // csr: of each stored element; rows: of whole rows
  int32_t* columns = nullptr;   // csr: of each stored element, rising within a row
  int64_t* offsets = nullptr;   // csr: where each listed row begins, and the end
  int32_t* ids = nullptr;       // the rows that are listed, rising; null: all
  int64_t* count = nullptr;     // how many are listed; null: all
  // Of a transpose, for its sort: two lists of (column, position), and the row of a position.
  uint64_t* pairs[2] = {};
  int32_t* row_of = nullptr;

  int64_t listed(int64_t rows) const { return count != nullptr ? *count : rows; }
};

// What a device keeps for one running call.
struct DeviceCall {
  virtual ~DeviceCall() = default;
};

// What one running call owns. Shared by its threads; only `status` is written by launches.
struct Context {
  std::byte* base[kBaseCount] = {};
  SparseBatch* sparse = nullptr;  // by the offset of a Buffer in Base::sparse
  int64_t rows = 0;               // rows of this batch, at most the plan's capacity
  int64_t first_row = 0;          // of this batch's row 0 in the global batch: the random counter
  int64_t step = 0;               // the random counter
  uint32_t seed = 0;              // the random key
  DeviceCall* call = nullptr;     // of a device that keeps something
  mutable std::atomic<uint32_t> status{0};

  void raise(uint32_t bits) const { status.fetch_or(bits, std::memory_order_relaxed); }
};

// Where a value lives in one plan, and its shape there.
struct Buffer {
  Base base = Base::scratch;
  int64_t offset = 0;  // bytes
  DType dtype = DType::f32;
  std::vector<int64_t> dims;  // at capacity
  int64_t per_row = 0;        // > 0: the leading dimension is per_row * rows at run time
  // > 0: elements from row to row of [..., last dim], which lie apart: columns of a wider value.
  // Only ops that say so in ops.def meet it.
  int64_t row_stride = 0;
  Storage storage = Storage::dense;

  int64_t leading(int64_t rows) const {
    return dims.empty() ? 1 : per_row > 0 ? per_row * rows : dims[0];
  }
  int64_t inner() const {  // elements under one leading index
    int64_t n = 1;
    for (size_t i = 1; i < dims.size(); ++i) n *= dims[i];
    return n;
  }
  int64_t count(int64_t rows) const { return leading(rows) * inner(); }
  int64_t row() const { return row_stride > 0 ? row_stride : dims.back(); }
  // Where the index-th element lies, in elements from the first.
  int64_t at(int64_t index) const {
    return row_stride > 0 ? index / dims.back() * row_stride + index % dims.back() : index;
  }
  template <class T>
  T* in(const Context& context) const {
    return reinterpret_cast<T*>(context.base[static_cast<int>(base)] + offset);
  }
  SparseBatch& sparse_in(const Context& context) const { return context.sparse[offset]; }
};

struct Cost {
  double flops = 0;
  double bytes = 0;
};

// One prepared kernel. prepare decided all that can be decided or fail: run neither
// allocates, checks nor throws. Tasks depend on shapes and rows, never on threads, and may
// run in any order or at once. `local` is this thread's scratch of local_bytes() bytes.
class Launch {
 public:
  virtual ~Launch() = default;
  virtual int64_t tasks(int64_t rows) const = 0;
  virtual void run(const Context& context, int64_t task, std::byte* local) const noexcept = 0;
  // The tasks from first to last - 1; for kernels to which neighbours are cheaper in one.
  virtual void run_all(const Context& context, int64_t first, int64_t last,
                       std::byte* local) const noexcept {
    for (int64_t task = first; task < last; ++task) run(context, task, local);
  }
  // Whether some rows of its results, along their leading dimension, can be computed alone, of
  // the same rows of what it reads; then, from first to last - 1. The bits are those of a task.
  virtual bool takes_rows() const { return false; }
  virtual void run_rows(const Context& /*context*/, int64_t /*first*/, int64_t /*last*/,
                        std::byte* /*local*/) const noexcept {}
  virtual Cost cost(int64_t rows) const = 0;
  virtual int64_t local_bytes() const { return 0; }

  std::string name;  // the first result's name: the user's words in profiles and errors
  std::string op;
};

// What prepare reads: a node and where its operands and results live.
struct Binding {
  const Graph& graph;
  const Node& node;
  std::vector<Buffer> operands;
  std::vector<Buffer> results;
  // What the kernel asked for: memory between its launches, nobody else's while they run.
  std::vector<Buffer> workspace = {};
  // Where what `packing` promised lies; none: it is made anew in each call, in workspace.
  std::optional<Buffer> packed = {};

  int64_t integer(const std::string& attribute, int64_t otherwise) const;
  double number(const std::string& attribute, double otherwise) const;
  bool flag(const std::string& attribute, bool otherwise) const;
  std::vector<int64_t> integers(const std::string& attribute) const;
  // "[matmul fc1/matmul] " + text as std::invalid_argument
  [[noreturn]] void refuse(const std::string& text) const;
};

// The launches of a node, in the order in which they run. Lanes wait for each other between
// them. None: its results lie where they must already.
struct Prepared {
  Prepared() = default;
  template <class One>
  Prepared(std::unique_ptr<One> launch) {  // NOLINT(google-explicit-constructor): mostly one
    launches.push_back(std::move(launch));
  }

  // What packs an operand: into Binding::packed apart from all calls, or before other launches.
  void add_packing(const Binding& binding, std::unique_ptr<Launch> launch) {
    if (binding.packed) {
      pack = std::move(launch);
    } else {
      launches.insert(launches.begin(), std::move(launch));
    }
  }

  std::vector<std::unique_ptr<Launch>> launches;
  std::unique_ptr<Launch> pack;  // reads one operand, fills Binding::packed
};

// What a kernel makes of one operand before all else and reads in its place, such as filters in
// the order of register tiles: while the operand stays as it is, once is enough.
struct Packing {
  size_t operand = 0;
  int64_t bytes = 0;
  std::string layout;  // an operand packed for one plan serves all that pack it so
};

// A kernel is asked twice: for the bytes of each buffer of its workspace, when shapes are known,
// but of places only where in another value a part of it begins (null: it needs none); then for its
// launches, when all have their place.
using Workspace = std::vector<int64_t> (*)(const Binding&);
using Prepare = Prepared (*)(const Binding&);
// Asked before both where an operand may stay as it is; none: this one packs nothing.
using Pack = std::optional<Packing> (*)(const Binding&);

// What a kernel's file registers: cpu/kernel_set.h.
struct KernelRow {
  const char* op;
  Prepare prepare;
  Workspace workspace = nullptr;
  Pack packing = nullptr;
};

// The kernels of one instruction set (or, later, one GPU), by op.
struct KernelSet {
  std::string isa;
  std::map<std::string, const KernelRow*> rows;
};

// Instruction-set levels in rising order; a set that this build or machine lacks is null.
const KernelSet* kernel_set(const std::string& isa);  // "generic", "x86-64-v3", "x86-64-v4"
std::string best_isa();  // SLIM_ISA if set (refused by name if it cannot run here), else best

}  // namespace slim
