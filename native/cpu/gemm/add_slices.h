// The sum of slices of a product, in order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/lanes.h"
#include "cpu/vec.h"

namespace slim::SLIM_ISA_NAMESPACE {

// sums[i] = terms[i] + terms[i + apart] + …; behind the terms a vector may be read.
template <class T>
void add_slices(const T* terms, int64_t slices, int64_t apart, T* sums, int64_t count) {
  for (int64_t at = 0; at < count; at += kLanes<T>) {
    Vec<T> v = load(terms + at);
    for (int64_t slice = 1; slice < slices; ++slice) v = v + load(terms + slice * apart + at);
    store_first(sums + at, v, std::min<int64_t>(kLanes<T>, count - at));
  }
}

}  // namespace slim::SLIM_ISA_NAMESPACE
