// The optimizer's step over the rows that a batch touched: fetch, the tape, put back.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/call/arrays.h"
#include "runtime/call/team.h"
#include "runtime/plan/plan.h"
#include "runtime/train/guard.h"

namespace slim {

// Nothing here is as long as the parameter is: its other rows, and theirs of the slots, are
// not even read.
class RowUpdate {
 public:
  // `plan` is the compact update; `hyper`, with the penalty behind it, stays where it is.
  RowUpdate(std::shared_ptr<const Plan> plan, const Layout& layout, const RowGradient& gradient,
            const std::byte* hyper, int64_t penalty_at, Arrays arrays, int lanes);

  // By all lanes: penalties are added; elements go to ±limit (0: none), and their squares, if
  // wanted, into partial sums.
  void clip(const Context& context, double limit, bool square, const Lane& lane) noexcept;
  // By one lane: the sum of those squares.
  double squares(const Context& context) const noexcept;
  // By all lanes. Returns on each of them the status bits it raised.
  uint32_t run(const Context& context, const Lane& lane) noexcept;

  Cost cost(const Context& context) const;

 private:
  const SparseBatch& batch(const Context& context) const { return context.sparse[gradient_.value]; }
  int64_t elements(const Context& context) const { return *batch(context).count * gradient_.width; }
  int64_t blocks(const Context& context) const {
    return (elements(context) + plan_->capacity() - 1) / plan_->capacity();
  }
  bool run_block(const SparseBatch& rows, int64_t begin, int64_t end, CallContext& call,
                 std::byte* room) const noexcept;
  // Between the elements begin … end-1 of the touched rows and a block.
  template <class T, bool fetch>
  void move(const int32_t* ids, int64_t begin, int64_t end, std::byte* array,
            std::byte* block) const;
  void penalise(const SparseBatch& rows, int64_t begin, int64_t end, const Penalty& penalty,
                std::byte* values, std::byte* room) const noexcept;
  template <bool fetch>
  void move_all(const SparseBatch& rows, int64_t begin, int64_t end, std::byte* room) const;

  std::shared_ptr<const Plan> plan_;
  RowGradient gradient_;
  DType precision_;
  const std::byte* hyper_;
  int64_t penalty_at_;
  Arrays arrays_;
  int64_t param_bytes_;
  int64_t slots_;
  int64_t block_bytes_;
  std::vector<double> partial_;      // sums of squares, by block
  std::vector<Plan::Lease> leases_;  // by lane
  std::vector<Arena> rooms_;         // by lane: a block of weights, then of each slot
};

}  // namespace slim
