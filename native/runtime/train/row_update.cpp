// Touched rows of the weights and slots go through the update as blocks of their own.
#include "runtime/train/row_update.h"

#include <algorithm>
#include <cstring>

#include "runtime/call/executor.h"
#include "runtime/train/guard.h"

namespace slim {

RowUpdate::RowUpdate(std::shared_ptr<const Plan> plan, const Layout& layout,
                     const RowGradient& gradient, const std::byte* hyper, int64_t penalty_at,
                     Arrays arrays, int lanes)
    : plan_(std::move(plan)),
      gradient_(gradient),
      precision_(layout.precision),
      hyper_(hyper),
      penalty_at_(penalty_at),
      arrays_(arrays),
      param_bytes_(layout.param_bytes),
      slots_(layout.slots()),
      block_bytes_(plan_->capacity() * size_of(precision_)) {
  partial_.resize(static_cast<size_t>(gradient_.rows * gradient_.width / plan_->capacity() + 1));
  for (int i = 0; i < lanes; ++i) {
    leases_.emplace_back(*plan_, 1);
    rooms_.emplace_back((1 + slots_) * block_bytes_, plan_->device().memory());
  }
}

void RowUpdate::clip(const Context& context, double limit, bool square, const Lane& lane) noexcept {
  const int64_t count = blocks(context), size = size_of(precision_);
  const Penalty penalty = penalty_in(hyper_ + penalty_at_);
  for (int64_t i = lane.begin(count); i < lane.end(count); ++i) {
    const int64_t begin = i * plan_->capacity();
    const int64_t length = std::min(plan_->capacity(), elements(context) - begin);
    std::byte* values = batch(context).values + begin * size;
    if (penalty.l1 != 0 || penalty.l2 != 0) {
      std::byte* room = rooms_[static_cast<size_t>(lane.index())].data();
      penalise(batch(context), begin, begin + length, penalty, values, room);
    }
    if (limit > 0) clip_values(values, length, precision_, limit);
    if (square) {
      partial_[static_cast<size_t>(i)] = sum_of_squares(values, length, precision_);
    }
  }
}

double RowUpdate::squares(const Context& context) const noexcept {
  double total = 0;
  for (int64_t i = 0; i < blocks(context); ++i) total += partial_[static_cast<size_t>(i)];
  return total;
}

template <class T, bool fetch>
void RowUpdate::move(const int32_t* ids, int64_t begin, int64_t end, std::byte* array,
                     std::byte* block) const {
  T* all = reinterpret_cast<T*>(array + gradient_.offset);
  T* few = reinterpret_cast<T*>(block);
  const int64_t width = gradient_.width;
  if (width == 1) {
    for (int64_t i = begin; i < end; ++i) {
      if constexpr (fetch) {
        few[i - begin] = all[ids[i]];
      } else {
        all[ids[i]] = few[i - begin];
      }
    }
    return;
  }
  int64_t row = begin / width, column = begin % width;
  for (int64_t at = begin; at < end; ++row, column = 0) {
    const int64_t length = std::min(width - column, end - at);
    T* there = all + ids[row] * width + column;
    T* here = few + (at - begin);
    std::memcpy(fetch ? here : there, fetch ? there : here,
                static_cast<size_t>(length) * sizeof(T));
    at += length;
  }
}

// With the weights of the touched rows.
void RowUpdate::penalise(const SparseBatch& rows, int64_t begin, int64_t end,
                         const Penalty& penalty, std::byte* values,
                         std::byte* room) const noexcept {
  if (precision_ == DType::f32) {
    move<float, true>(rows.ids, begin, end, arrays_.param, room);
  } else {
    move<double, true>(rows.ids, begin, end, arrays_.param, room);
  }
  add_penalty(values, room, end - begin, precision_, penalty);
}

template <bool fetch>
void RowUpdate::move_all(const SparseBatch& rows, int64_t begin, int64_t end,
                         std::byte* room) const {
  for (int64_t i = 0; i <= slots_; ++i) {
    std::byte* array = i == 0 ? arrays_.param : arrays_.slot + (i - 1) * param_bytes_;
    if (precision_ == DType::f32) {
      move<float, fetch>(rows.ids, begin, end, array, room + i * block_bytes_);
    } else {
      move<double, fetch>(rows.ids, begin, end, array, room + i * block_bytes_);
    }
  }
}

bool RowUpdate::run_block(const SparseBatch& rows, int64_t begin, int64_t end, CallContext& call,
                          std::byte* room) const noexcept {
  std::byte* gradient = rows.values + begin * size_of(precision_);
  if (!all_finite(gradient, end - begin, precision_)) return false;
  move_all<true>(rows, begin, end, room);
  Context& context = call.context;
  Arrays{room, gradient, arrays_.state, room + block_bytes_, hyper_}.lend(context);
  context.rows = end - begin;
  run_plan(*plan_, call, Lane(0, 1));
  move_all<false>(rows, begin, end, room);
  return true;
}

uint32_t RowUpdate::run(const Context& context, const Lane& lane) noexcept {
  const auto index = static_cast<size_t>(lane.index());
  const int64_t count = blocks(context);
  uint32_t status = 0;
  for (int64_t i = lane.begin(count); i < lane.end(count); ++i) {
    const int64_t begin = i * plan_->capacity();
    const int64_t end = std::min(begin + plan_->capacity(), elements(context));
    if (!run_block(batch(context), begin, end, *leases_[index], rooms_[index].data())) {
      status |= kNonFiniteGradient;
    }
  }
  return status;
}

Cost RowUpdate::cost(const Context& context) const {
  const int64_t length = elements(context);
  Cost cost = plan_->cost(length);
  // Weights and slots go to a block and back, beside what the tape moves.
  cost.bytes += static_cast<double>(4 * (1 + slots_) * length * size_of(precision_));
  return cost;
}

}  // namespace slim
