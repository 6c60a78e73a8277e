// Chains of the tape: sums of many terms, as stencils have, that may move a value.
#include <utility>

#include "cpu/tape/tape_chains.h"
#include "cpu/vec.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

// From where on results are whole lines of cache, where a row is long enough to care. A store
// across two lines costs twice, and with it do the loads that lie alike: of a stencil most.
template <class T>
int64_t elements_before_line(const T* dst, int64_t n) {
  constexpr int64_t kLong = 64;
  if (n < kLong) return 0;
  const auto past = static_cast<int64_t>(reinterpret_cast<uintptr_t>(dst) % sizeof(Vec<T>));
  return past == 0 || past % static_cast<int64_t>(sizeof(T)) != 0
             ? 0
             : (static_cast<int64_t>(sizeof(Vec<T>)) - past) / static_cast<int64_t>(sizeof(T));
}

template <class T, int terms, bool moves>
void weighted_sum(std::byte* const* dst_bytes, const std::byte* const* src, int64_t n) {
  constexpr int64_t kStep = kLanes<T>;
  constexpr int kAll = terms + (moves ? 1 : 0);
  T* dst = reinterpret_cast<T*>(dst_bytes[0]);
  const T* from[kAll];
  Vec<T> number[kAll];
#pragma GCC unroll 10
  for (int i = 0; i < kAll; ++i) {
    from[i] = reinterpret_cast<const T*>(src[2 * i]);
    number[i] = load(reinterpret_cast<const T*>(src[2 * i + 1]));
  }
  const auto value = [&](int64_t at) {
    Vec<T> total = load(from[0] + at) * number[0];
#pragma GCC unroll 9
    for (int i = 1; i < terms; ++i) total = total + load(from[i] + at) * number[i];
    if constexpr (moves) total = load(from[terms] + at) + total * number[terms];
    return total;
  };
  int64_t i = elements_before_line(dst, n);
  if (i > 0) store_partial(dst, value(0), i);
  for (; i + kStep <= n; i += kStep) store(dst + i, value(i));
  if (i < n) store_partial(dst + i, value(i), n - i);
}

template <class T, bool moves, int... more>
ChainKernel of_terms(size_t terms, std::integer_sequence<int, more...>) {
  constexpr ChainKernel kKernels[] = {&weighted_sum<T, kFewestTerms + more, moves>...};
  return kKernels[terms - kFewestTerms];
}

}  // namespace

template <class T>
ChainKernel sum_kernel(size_t terms, bool moves) {
  constexpr std::make_integer_sequence<int, kChainTerms - kFewestTerms + 1> kMore;
  return moves ? of_terms<T, true>(terms, kMore) : of_terms<T, false>(terms, kMore);
}

template ChainKernel sum_kernel<float>(size_t, bool);
template ChainKernel sum_kernel<double>(size_t, bool);

}  // namespace slim::SLIM_ISA_NAMESPACE
