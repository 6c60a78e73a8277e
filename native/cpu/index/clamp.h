// Indices that data gives: moved into their range, and remembered where they had to be.
#pragma once

#include <algorithm>
#include <cstdint>

namespace slim::SLIM_ISA_NAMESPACE {

// An index as it stands, clamped into [0, size); what was outside is remembered.
template <class Id>
int64_t clamp_index(Id id, int64_t size, bool* outside) {
  const auto index = static_cast<int64_t>(id);
  *outside |= static_cast<uint64_t>(index) >= static_cast<uint64_t>(size);
  return std::clamp<int64_t>(index, 0, size - 1);
}

}  // namespace slim::SLIM_ISA_NAMESPACE
