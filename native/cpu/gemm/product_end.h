// What follows the sums of a product: bias, relu and mask, or a tape over a part of C.
#pragma once

#include <cstddef>
#include <optional>

#include "cpu/gemm/epilogue.h"
#include "cpu/gemm/micro.h"
#include "cpu/tape/tape.h"

namespace slim::SLIM_ISA_NAMESPACE {

template <class T>
class ProductEnd {
 public:
  explicit ProductEnd(const Binding& binding) : epilogue_(find_epilogue(binding)) {
    if (epilogue_.bias >= 0) bias_ = binding.operands[epilogue_.bias];
    if (epilogue_.mask >= 0) mask_ = binding.operands[epilogue_.mask];
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
    if (epilogue_.bias >= 0) finish.bias = bias_.in<T>(context) + j;
    finish.relu = epilogue_.relu;
    if (epilogue_.mask >= 0) {
      finish.mask = mask_.in<T>(context) + row * mask_.row() + j;
      finish.mask_row = mask_.row();
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
  Buffer bias_, mask_;
  std::optional<TapeRunner> tape_;
};

// As a finish of the register tile would have done it.
template <class T>
void finish_rows(T* c, int64_t c_row, int64_t m, int64_t n, const Finish<T>& finish) {
  if (finish.bias == nullptr && !finish.relu && finish.mask == nullptr) return;
  for (int64_t i = 0; i < m; ++i, c += c_row) {
    const T* mask = finish.mask != nullptr ? finish.mask + i * finish.mask_row : nullptr;
    for (int64_t j = 0; j < n; j += kLanes<T>) {
      Vec<T> v = load(c + j);
      if (finish.bias != nullptr) v = v + load(finish.bias + j);
      if (finish.relu) v = relu(v);
      if (mask != nullptr) v = relu_grad(v, load(mask + j));
      if (n - j >= kLanes<T>) {
        store(c + j, v);
      } else {
        store_partial(c + j, v, n - j);
      }
    }
  }
}

}  // namespace slim::SLIM_ISA_NAMESPACE
