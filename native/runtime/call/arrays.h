// The arenas that a caller lends for the length of a call.
#pragma once

#include "kernels/kernel.h"

namespace slim {

struct Arrays {
  std::byte* param = nullptr;
  std::byte* gradient = nullptr;
  std::byte* state = nullptr;
  std::byte* slot = nullptr;
  const std::byte* hyper = nullptr;  // no function writes hypers, so calls may share them

  void lend(Context& context) const {
    context.base[static_cast<int>(Base::param)] = param;
    context.base[static_cast<int>(Base::gradient)] = gradient;
    context.base[static_cast<int>(Base::state)] = state;
    context.base[static_cast<int>(Base::slot)] = slot;
    context.base[static_cast<int>(Base::hyper)] = const_cast<std::byte*>(hyper);
  }
};

}  // namespace slim
