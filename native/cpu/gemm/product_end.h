// What follows the sums of a product: a finish of its sums, or a tape over a part of C.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "cpu/gemm/epilogue.h"
#include "cpu/gemm/micro.h"
#include "cpu/tape/tape.h"

namespace slim::SLIM_ISA_NAMESPACE {

template <class T>
class ProductEnd {
 public:
  explicit ProductEnd(const Binding& binding) : epilogue_(find_epilogue(binding)) {
    const auto find = [&](int operand, Buffer& buffer) {
      if (operand >= 0) buffer = binding.operands[static_cast<size_t>(operand)];
    };
    find(epilogue_.shift, shift_);
    find(epilogue_.scale, scale_);
    find(epilogue_.bias, bias_);
    find(epilogue_.added, added_);
    find(epilogue_.mask, mask_);
    if (epilogue_.factor) {
      // Whole vectors of a row are read.
      const auto columns = static_cast<size_t>(binding.results[0].dims.back() + kLanes<T>);
      factors_.assign(columns, static_cast<T>(*epilogue_.factor));
    }
    if (epilogue_.tape) {
      tape_.emplace(binding, binding.node.regions[0], epilogue_operands(binding), binding.results,
                    SpaceSplit::last_axis);
    }
  }

  bool has_tape() const { return tape_.has_value(); }  // which reads C from local memory
  int64_t local_bytes() const { return tape_ ? tape_->local_bytes() : 0; }

  // Of the part of C that begins at this row and column.
  Finish<T> finish(const Context& context, int64_t row, int64_t j) const {
    Finish<T> finish;
    if (epilogue_.shift >= 0) finish.shift = shift_.in<T>(context) + j;
    if (epilogue_.scale >= 0) finish.scale = scale_.in<T>(context) + j;
    if (epilogue_.factor) finish.scale = factors_.data() + j;
    if (epilogue_.bias >= 0) finish.bias = bias_.in<T>(context) + j;
    if (epilogue_.added >= 0) {
      finish.added_row = added_.row();
      finish.added = added_.in<T>(context) + row * finish.added_row + j;
    }
    finish.relu = epilogue_.relu;
    finish.capped = epilogue_.cap.has_value();
    if (finish.capped) finish.cap = static_cast<T>(*epilogue_.cap);
    if (epilogue_.mask >= 0) {
      finish.mask_row = mask_.row();
      finish.mask = mask_.in<T>(context) + row * finish.mask_row + j;
    }
    return finish;
  }

  void run_tape(const Context& context, const TapeRunner::Window& window, const T* tile,
                int64_t tile_row, std::byte* local) const {
    const TapeRunner::Override acc{reinterpret_cast<const std::byte*>(tile), tile_row};
    tape_->run(context, window, local, &acc);
  }

 private:
  Epilogue epilogue_;
  Buffer shift_, scale_, bias_, added_, mask_;
  std::vector<T> factors_;  // a row of the factor
  std::optional<TapeRunner> tape_;
};

}  // namespace slim::SLIM_ISA_NAMESPACE
