// Reductions over any axes: reduce_sum, reduce_max, reduce_min, logsumexp. The order of the terms
// depends on the shape alone, so a kept row has the same bits in every batch.
#include "cpu/check.h"
#include "cpu/kernel_set.h"
#include "cpu/reduce/reduction_launch.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

template <template <class> class Fold, class Phase>
auto reduce(const Binding& binding) {
  const Phase phase{binding};
  return with_number(binding.operands[0].dtype, [&](auto zero) {
    using T = decltype(zero);
    return phase.template run<T, const T*, Plain<Fold, T>>();
  });
}

template <template <class> class Fold>
Prepared prepare_extreme(const Binding& binding) {
  for (const int64_t axis : binding.integers("axes")) {
    require_elements(binding, binding.operands[0], static_cast<size_t>(axis));
  }
  return reduce<Fold, Launches>(binding);
}

Prepared prepare_logsumexp(const Binding& binding) {
  const Launches launches{binding};
  if (binding.operands[0].dtype == DType::f32) {
    return launches.run<float, const float*, LogSumExp<float>>();
  }
  return launches.run<double, const double*, LogSumExp<double>>();
}

}  // namespace

SLIM_KERNEL(reduce_sum, reduce<Sum, Launches>, reduce<Sum, Sizes>);
SLIM_KERNEL(reduce_max, prepare_extreme<Max>, reduce<Max, Sizes>);
SLIM_KERNEL(reduce_min, prepare_extreme<Min>, reduce<Min, Sizes>);
SLIM_KERNEL(logsumexp, prepare_logsumexp);

}  // namespace slim::SLIM_ISA_NAMESPACE
