// The arenas that a caller lends for the length of a call, and where a device has them.
#pragma once

#include "kernels/kernel.h"
#include "runtime/plan/arena.h"
#include "runtime/plan/layout.h"

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

// Lent arenas as the launches of a device see them: where they lie or, if its memory is not the
// host's, copies there, to which the caller takes them and from which it brings them back.
class DeviceArrays {
 public:
  DeviceArrays(Memory& memory, const Layout& layout, const Arrays& lent);

  const Arrays& arrays() const { return arrays_; }
  // All that are lent, or one.
  void to_device() const;
  void to_device(Base base) const;
  // Likewise, but for the hypers: no function writes them.
  void to_host() const;
  void to_host(Base base) const;

 private:
  struct Copy {
    std::byte* lent = nullptr;
    Arena there;
    int64_t bytes = 0;
  };
  std::byte* add(Base base, std::byte* lent, int64_t bytes);

  Memory& memory_;
  Arrays arrays_;
  Copy copies_[kBaseCount];  // empty where the memory is the host's
};

}  // namespace slim
