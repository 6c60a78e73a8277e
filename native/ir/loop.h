// What the operands, results and regions of scan and while_loop are, in order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/ops.h"

namespace slim {

// Operands: [count] carried… scanned… read…; a region's parameters: carried…, a slice of each
// scanned…, read…. The body yields carried… and a slice of each stacked…; results: carried…,
// stacked…, and of while_loop how many steps ran.
struct LoopForm {
  bool is_while = false;  // regions: condition, body; of a scan: body
  bool counted = false;   // operand 0 says how many steps run, at most `length`
  bool reverse = false;   // from the last step to the first
  size_t carried = 0, scanned = 0, stacked = 0;
  std::vector<int64_t> axes;  // of scanned, then of stacked: which one is cut into slices
  Dim length;                 // of these axes; of while_loop the most steps, 0: no bound

  // Throws std::invalid_argument, in the node's name, where these do not fit together.
  explicit LoopForm(const NodeView& view);

  size_t first_carried() const { return counted ? 1 : 0; }
  size_t first_scanned() const { return first_carried() + carried; }
  size_t first_read() const { return first_scanned() + scanned; }
  int64_t scanned_axis(size_t i) const { return axes[i]; }
  int64_t stacked_axis(size_t i) const { return axes[scanned + i]; }
  const Graph& body(const Node& node) const { return node.regions.back(); }
};

// The parts of a loop's workspace, in order: what decides (whether a step runs, what the condition
// says), the slices of scanned and of stacked values, and carried values on their way: where a step
// leaves them; and of those that take turns where it finds them, and their second place.
struct LoopSlots {
  explicit LoopSlots(const LoopForm& form) : form_(form) {}

  static constexpr size_t kGo = 0, kCondition = 1;
  size_t scanned(size_t i) const { return 2 + i; }
  size_t stacked(size_t i) const { return 2 + form_.scanned + i; }
  size_t carried(size_t i) const { return 2 + form_.scanned + form_.stacked + i; }
  size_t turned(size_t i) const { return carried(form_.carried) + i; }
  size_t second(size_t i) const { return turned(form_.carried) + i; }
  size_t count() const { return second(form_.carried); }

 private:
  const LoopForm& form_;
};

bool is_loop(const Node& node);

// Whether every step makes row i of what it computes of row i of what it reads: all of that leads
// with rows, and a row may run ahead of the others.
bool keeps_rows_apart(const NodeView& view, const std::string& symbol = "B");

}  // namespace slim
