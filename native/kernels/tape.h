// The tape: an elementwise region as instructions over registers, the one form in which a
// device runs fused chains, epilogues and optimizers. Device-independent.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/kernel.h"
#include "kernels/space.h"

namespace slim {

enum class Operation : uint8_t {
#define FORMULA(name, operands, types, result, cost) name,
#define SPECIAL(name, operands, type_rule, row_rule) name,
#include "ir/elementwise.def"
  copy,
};

// Elements of a block: a register of f32 is 2 KB. Whole rows where they fit, else of one row.
inline constexpr int64_t kTapeBlock = 512;

// Cells of a sum's fixed order: element i of a block goes to cell i % kTapeCells. Blocks are
// summed apart; after kTapeRun of them the cells are added to the total.
inline constexpr int64_t kTapeCells = 16;
inline constexpr int64_t kTapeRun = 64;

std::optional<Operation> find_operation(const std::string& op);
double flops_of(Operation op);  // of an element

struct TapeRegister {
  enum class Source : uint8_t { operand, constant, rows, computed };

  DType dtype = DType::f32;
  Extent extent = Extent::scalar;
  Source source = Source::computed;
  int32_t operand = -1;  // of Source::operand
  double number = 0;     // of Source::constant; of Source::rows: times context.rows
  int64_t integer = 0;   // of Source::constant with an integer type
  int64_t repeat = 1;    // of an operand that is a column: rows in a row that share an element
  // An operand that broadcasts across several axes: its element strides along Tape::axes.
  std::vector<int64_t> strides;
};

struct Instruction {
  Operation op;
  int32_t dst;
  std::array<int32_t, 3> src;  // -1: none
};

struct Tape {
  struct Sum {
    int32_t dst;
    int32_t src;
  };

  Space space;
  std::vector<int64_t> axes;  // of the space, outermost first; the first is at capacity
  std::vector<TapeRegister> registers;
  std::array<std::vector<Instruction>, 4> code;  // by the extent at which it runs, in order
  std::vector<Sum> sums;                         // of all elements, in a fixed order
  std::vector<Instruction> finale;               // scalars computed from sums
  std::vector<int32_t> yields;                   // registers, one for each result
  std::vector<Extent> yield_extents;             // at least the register's own
};

// Compiles `region` for these operands and results; refuses in the binding's name.
Tape build_tape(const Binding& binding, const Graph& region, const std::vector<Buffer>& operands,
                const std::vector<Buffer>& results, SpaceSplit split);

// What the region of a node with an epilogue reads: the product, of the result's shape, and the
// operands behind the node's own.
std::vector<Buffer> epilogue_operands(const Binding& binding);

// A region of this one node: what a lone elementwise op runs as.
Graph region_of(const Graph& graph, const Node& node);

}  // namespace slim
