// Where a loop's carried values and slices live in its regions, so that few of them are copied.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ir/loop.h"
#include "passes/memory.h"

namespace slim {

// While a region is planned, the places of the node around it are not known yet: an arena for
// each of its operands and results, and each part of its workspace, stands for them.
constexpr int operand_arena(size_t k) { return -1 - 3 * static_cast<int>(k); }
constexpr int result_arena(size_t r) { return -2 - 3 * static_cast<int>(r); }
constexpr int workspace_arena(size_t w) { return -3 - 3 * static_cast<int>(w); }

// A carried value is read and left in one of these ways:
//
//   in place   where its result lives, by ops that may overwrite what they read
//   by a copy  left in the workspace, for the next step copied to where its result lives
//   in slices  of a stacked value that says what each step read (as a gradient keeps it): left
//              where the next step's slice lies, the last one where its result lives
//   in turns   where its result lives and in as much memory again, whose bases are swapped
//
// Slices of a first axis are read and left where they lie, others copied.
class LoopMemory {
 public:
  // `bytes_of`: of a value; `moving`: the arenas it may take, what it took is missing then.
  LoopMemory(const NodeView& view, std::function<int64_t(const Value&)> bytes_of,
             MemoryRequest::Arenas& moving);

  const LoopForm& form() const { return form_; }
  // Without what a region inherits.
  MemoryRequest condition() const;
  MemoryRequest body();
  // Whether another plan, of the same requests anew, lets values take turns whose copies the
  // plan of the body has. Of innermost loops alone: an outer one would plan each inner one
  // twice, whose inner ones each twice.
  bool take_turns(const MemoryPlan& body);
  // By part of the workspace: its bytes; or its arena, over which the loop moves, else 0.
  const std::vector<int64_t>& bytes() const { return bytes_; }
  const std::vector<int>& arenas() const { return arenas_; }

 private:
  bool take(size_t slot);
  void find_slices();
  bool is_wanted_once(size_t k) const;
  MemoryRequest parameters(const Graph& region) const;
  std::vector<bool> carried_directly(const MemoryRequest& request) const;

  const Node& node_;
  const LoopForm form_;
  const LoopSlots slots_{form_};
  const Graph& body_;
  const std::function<int64_t(const Value&)> bytes_of_;
  MemoryRequest::Arenas& moving_;
  std::vector<int> read_at_;  // by carried value: the arena where a step finds it
  std::vector<bool> handed_;  // by carried value: in slices or in turns
  std::vector<int64_t> bytes_;
  std::vector<int> arenas_;
};

}  // namespace slim
