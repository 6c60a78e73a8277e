// Copies of lent arenas in the memory of a device.
#include "runtime/call/arrays.h"

namespace slim {

DeviceArrays::DeviceArrays(Memory& memory, const Layout& layout, const Arrays& lent)
    : memory_(memory), arrays_(lent) {
  if (memory.is_host()) return;
  arrays_.param = add(Base::param, lent.param, layout.param_bytes);
  arrays_.gradient = add(Base::gradient, lent.gradient, layout.param_bytes);
  arrays_.state = add(Base::state, lent.state, layout.state_bytes);
  arrays_.slot = add(Base::slot, lent.slot, layout.slot_bytes);
  arrays_.hyper = add(Base::hyper, const_cast<std::byte*>(lent.hyper), layout.hyper_bytes);
}

std::byte* DeviceArrays::add(Base base, std::byte* lent, int64_t bytes) {
  if (lent == nullptr || bytes == 0) return nullptr;
  Copy& copy = copies_[static_cast<int>(base)];
  copy = {lent, Arena(bytes, memory_), bytes};
  return copy.there.data();
}

void DeviceArrays::to_device(Base base) const {
  const Copy& copy = copies_[static_cast<int>(base)];
  if (copy.lent != nullptr) memory_.to_device(copy.there.data(), copy.lent, copy.bytes);
}

void DeviceArrays::to_device() const {
  for (int base = 0; base < kBaseCount; ++base) to_device(static_cast<Base>(base));
}

void DeviceArrays::to_host(Base base) const {
  const Copy& copy = copies_[static_cast<int>(base)];
  if (copy.lent != nullptr) memory_.to_host(copy.lent, copy.there.data(), copy.bytes);
}

void DeviceArrays::to_host() const {
  for (const Base base : {Base::param, Base::gradient, Base::state, Base::slot}) to_host(base);
}

}  // namespace slim
