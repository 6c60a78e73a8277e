// Runs a tape over blocks of rows that stay in L1: fused chains, lone elementwise ops, the
// epilogues of matmul.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "cpu/tape/tape_chains.h"
#include "cpu/tape/tape_kernels.h"
#include "kernels/tape.h"

namespace slim::SLIM_ISA_NAMESPACE {

class TapeRunner {
 public:
  // Rows and columns of the iteration space [m, n].
  struct Window {
    int64_t row, row_end;
    int64_t column, column_end;
  };
  // Operand 0 read from elsewhere: element (window.row, window.column), and its row stride.
  struct Override {
    const std::byte* data;
    int64_t stride;
  };

  TapeRunner(const Binding& binding, const Graph& region, std::vector<Buffer> operands,
             std::vector<Buffer> results, SpaceSplit split = SpaceSplit::best);

  const Space& space() const { return tape_.space; }
  int64_t sums() const { return static_cast<int64_t>(tape_.sums.size()); }
  int64_t local_bytes() const { return local_bytes_; }
  double flops_per_element() const { return flops_; }
  double bytes_per_element() const { return bytes_; }
  void run(const Context& context, const Window& window, std::byte* local,
           const Override* acc = nullptr) const noexcept;
  // The same in parts: the totals of one part's sums, and what is left to do once all are there.
  void run_part(const Context& context, const Window& window, std::byte* local,
                double* totals) const noexcept;
  void end_parts(const Context& context, const double* totals, int64_t parts,
                 std::byte* local) const noexcept;

 private:
  struct Step {
    TapeKernel kernel;
    int32_t dst;
    std::vector<int32_t> src;        // three, or those of a chain
    ChainKernel chain = nullptr;     // instead of the kernel
    std::vector<int32_t> also = {};  // results of a chain beside dst
    size_t terms = 0;                // of a chain that is a sum
    bool moves = false;

    std::vector<int32_t> results() const {
      std::vector<int32_t> all = also;
      all.push_back(dst);
      return all;
    }
    void run(std::byte* const* pointer, int64_t n) const;
  };
  struct Place {  // a register and the memory it stands for
    int32_t reg;
    Buffer buffer;
    int64_t size;  // of an element
  };
  struct Store {  // a result that is copied from a register
    int32_t reg;
    Buffer buffer;
    Extent extent;
    TapeKernel copy;
    bool repeats;  // a scalar
    int64_t size;  // of an element

    void run(const Context& context, const std::byte* src, int64_t first, int64_t n) const;
  };
  struct Spread {  // a row or column register repeated over a block
    int32_t from, to;
    int64_t size;
  };
  struct Next {  // what a register's pointer moves from one row to the next
    int32_t reg;
    int64_t bytes;
  };
  struct Run;

  void compile(const Binding& binding);
  void place_results();
  void allocate();
  Step step(const Binding& binding, const Instruction& instruction, Extent extent);
  void compile_blocks(const Binding& binding);
  bool join(const std::vector<Instruction>& code, size_t first, size_t second, int side,
            Step* joined);
  int32_t add_register(DType dtype, Extent extent);
  int32_t add_number(DType dtype, double number);
  int32_t at(int32_t reg, Extent extent);
  bool computed(int32_t reg) const;
  void fetch(Run& run, const Place& place, int64_t first, int64_t n) const;
  int64_t reserve(int64_t bytes);
  void find_next();
  void measure();

  void scalar_phase(Run& run) const;
  void row_phase(Run& run) const;
  void block(Run& run) const;
  void next_rows(Run& run) const;
  void blocks(Run& run) const;
  void drain(Run& run) const;
  void finish(Run& run) const;

  Tape tape_;
  std::vector<Buffer> operands_, results_;
  std::array<std::vector<Step>, 4> steps_;  // by the extent at which they run
  std::vector<Step> finale_;
  std::vector<Place> scalars_, rows_, columns_, blocks_;
  std::vector<Place> repeats_;          // columns whose elements serve several rows
  std::vector<Place> gathers_, apart_;  // apart_: rows that lie apart, of any extent
  bool single_rows_ = false;            // a block is of one row, where those lie that are apart
  std::vector<Next> next_;              // if a row has no more to do than its steps
  int64_t sum_step_ = 0;  // > 0: and that is one sum, of rows alike: bytes between them
  std::vector<Spread> spread_rows_, spread_columns_;
  std::vector<Store> stores_;
  std::vector<int64_t> slot_;   // by register: bytes into `local`, -1: in memory
  std::vector<bool> in_place_;  // by register: a result's memory is the register
  std::vector<int64_t> sum_slot_;
  int64_t local_bytes_ = 0;
  double flops_ = 0, bytes_ = 0;
};

}  // namespace slim::SLIM_ISA_NAMESPACE
