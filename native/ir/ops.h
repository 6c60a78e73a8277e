// The table of ops: traits that passes ask for, and the rules that check a node.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace slim {

inline bool is_sixteen_bits(DType dtype) { return dtype == DType::bf16 || dtype == DType::f16; }
// What numbers of it are multiplied, added up and otherwise computed in.
inline DType computed_in(DType dtype) { return is_sixteen_bits(dtype) ? DType::f32 : dtype; }

// A node among its values: what a rule reads.
struct NodeView {
  const Graph& graph;
  const Node& node;

  const Type& operand(size_t i) const { return graph.values[node.operands[i]].type; }
  const Type& result(size_t i) const { return graph.values[node.results[i]].type; }
  int64_t integer(const char* key) const { return std::get<int64_t>(node.attributes.at(key)); }
  bool flag(const char* key) const { return std::get<bool>(node.attributes.at(key)); }
  const std::vector<int64_t>& integers(const char* key) const {
    return std::get<std::vector<int64_t>>(node.attributes.at(key));
  }
  // "[matmul fc1/matmul] " + text as std::invalid_argument
  [[noreturn]] void refuse(const std::string& text) const;
};

enum Trait : unsigned {
  kElementwise = 1,  // results have the operands' broadcast shape, element from element
  kRandom = 2,       // an effect: never shared, folded or moved
  kAlias = 4,        // the result is the first operand's memory under another type
  kTapeRegion = 8,   // its regions are elementwise: instructions of a tape
  kInTape = 16,      // may stand in such a region though not elementwise
  kSource = 32,      // filled from outside before the function starts
  kSparse = 64,      // takes or gives values that are not dense
  kInPlace = 128,    // an element is read before the same one of the result is written
  kEpilogue = 256,   // its region finishes each piece of its one dense result while it is hot
  // Rows along the last axis may lie apart (Buffer::row_stride); in elementwise and tape ops too.
  kReadsRows = 512,    // those of operands as many axes deep as the first
  kStoresRows = 1024,  // those of results
  kProduct = 2048,     // sums products of its first two operands: rounded to the compute type
  kElsewhere = 4096,   // its region runs on another device, as a plan of its own
  kMayFail = 8192,     // raises for an index, a label or a function: never moved before a loop
};

// How a value depends on the rows of the batch.
enum class Rows : uint8_t {
  none,   // not at all
  local,  // row i of the value on row i of the batch alone
  sum,    // the sum of a local value over the rows: chunks may be added
  mixed,  // on several rows, or on how many there are
};

using DTypes = unsigned;  // a set: 1 << DType
inline constexpr DTypes kFloats = 1u << int(DType::f32) | 1u << int(DType::f64);
inline constexpr DTypes kIntegers = 1u << int(DType::i32) | 1u << int(DType::i64);
inline constexpr DTypes kNumbers = kFloats | kIntegers;
inline constexpr DTypes kBools = 1u << int(DType::b8);
inline constexpr DTypes kSixteenBits = 1u << int(DType::bf16) | 1u << int(DType::f16);
inline constexpr DTypes kAll = kNumbers | kBools | 1u << int(DType::u8);
inline constexpr size_t kMany = 1u << 20;

struct OpRow {
  const char* name;
  size_t least_operands;
  size_t most_operands;
  size_t results;       // kMany: as many as its regions yield
  size_t most_regions;  // the type rule says whether it may have fewer
  const char* attributes;
  unsigned traits;
  DTypes accepts;                                         // elementwise rows: of every operand
  bool boolean;                                           // elementwise rows: the result is bool
  void (*check)(const OpRow& row, const NodeView& view);  // refuses wrong types
  Rows (*rows)(const NodeView& view, const std::vector<Rows>& operands, const std::string& symbol);

  bool has(Trait trait) const { return (traits & trait) != 0; }
};

const std::vector<OpRow>& all_ops();
const OpRow* find_op(const std::string& name);  // null if there is none
const OpRow& op_row(const Node& node);          // of a verified node
// The type of sixteen bits that has all that the op gives; nothing for others than round_….
std::optional<DType> rounded_to(const Node& node);
inline bool is_elementwise(const Node& node) { return op_row(node).has(kElementwise); }
// Its regions hold any ops and run by themselves, as it decides.
inline bool runs_regions(const Node& node) {
  return !node.regions.empty() && !op_row(node).has(kTapeRegion) && !op_row(node).has(kElsewhere);
}
// Computed on each device that reads it, and copied to none.
inline bool is_anywhere(const Node& node) {
  return node.op == "constant" || node.op == "constant_list" || node.op == "extent" ||
         node.op == "iota";
}
// Calls visit(graph, node) with all nodes of a graph and of the regions in it.
template <class Visit>
void walk(const Graph& graph, Visit visit) {
  for (const Node& node : graph.nodes) {
    visit(graph, node);
    for (const Graph& region : node.regions) walk(region, visit);
  }
}
// May stand in a region that runs as a tape.
inline bool fits_tape(const Node& node) {
  const OpRow& row = op_row(node);
  return node.regions.empty() && (row.has(kElementwise) || row.has(kInTape));
}

}  // namespace slim
