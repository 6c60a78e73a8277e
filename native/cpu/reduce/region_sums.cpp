// Runs what region_sums_match.cpp has read: two sums go over their value as one reduction.
#include "cpu/reduce/region_sums.h"

#include "cpu/reduce/reduction_launch.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

// A binding as a reduction has it, of what a region comes down to.
class Reading {
 public:
  explicit Reading(const Binding& binding)
      : sums(*read_region_sums(binding)),
        binding{binding.graph, sums.sum, sums.operands, sums.results, binding.workspace} {}

  const RegionSums sums;
  const Binding binding;
};

// Moments are one launch, or two sums in slices, one after the other.
template <class T>
std::vector<int64_t> sizes_of_moments(const Binding& binding) {
  return Sizes{binding}.run<T, const T*, Spread<T>>();
}

template <class T>
Prepared launches_of_moments(const Binding& binding) {
  const Launches launches{binding};
  if (binding.workspace.empty()) return launches.run<T, const T*, Moments<T>>();
  const Walk walk = walk_of(binding, kind_of<T, const T*, Spread<T>>());
  Ends ends = launches.ends();
  Prepared prepared;
  ends.dst = {binding.results[0]};
  add_launches<T, const T*, Plain<Sum, T>>(prepared, walk, ends);
  ends.known = binding.results[0];
  ends.dst = {binding.results[1]};
  add_launches<T, const T*, Spread<T>>(prepared, walk, ends);
  return prepared;
}

template <class T, class Phase>
auto run(const Reading& reading) {
  const Phase phase{reading.binding};
  switch (reading.sums.kind) {
    case RegionSums::products:
      return phase.template run<T, Products<T>, Plain<Sum, T>>();
    case RegionSums::squares:
      return phase.template run<T, Squares<T>, Plain<Sum, T>>();
    case RegionSums::with_products:
      return phase.template run<T, WithProducts<T>, Plain<Sums, T>>();
    case RegionSums::with_squares:
      return phase.template run<T, WithSquares<T>, Plain<Sums, T>>();
    default:
      if constexpr (std::is_same_v<Phase, Sizes>) {
        return sizes_of_moments<T>(reading.binding);
      } else {
        return launches_of_moments<T>(reading.binding);
      }
  }
}

template <class Phase>
auto run(const Binding& binding) {
  const Reading reading(binding);
  return reading.binding.operands[0].dtype == DType::f32 ? run<float, Phase>(reading)
                                                         : run<double, Phase>(reading);
}

}  // namespace

std::vector<int64_t> region_sums_workspace(const Binding& binding) { return run<Sizes>(binding); }

Prepared prepare_region_sums(const Binding& binding) { return run<Launches>(binding); }

}  // namespace slim::SLIM_ISA_NAMESPACE
