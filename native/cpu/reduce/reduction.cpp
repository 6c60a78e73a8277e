// Reductions over any axes: reduce_sum, also of products, reduce_max, reduce_min, logsumexp. The
// order of the terms depends on the shape alone, so a kept row has the same bits in every batch.
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "cpu/check.h"
#include "cpu/kernel_set.h"
#include "cpu/reduce/product_sum.h"
#include "cpu/reduce/reduction_walks.h"
#include "cpu/rows.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

// A reduction of n vectors side by side: walk(folds, partial) folds all terms lane by lane;
// across(v, fold) folds the lanes where these are terms of one result.
template <template <class> class Fold, class T>
struct Plain {
  using Merge = Fold<T>;
  static constexpr bool kSliced = true;  // results of parts can be merged
  // Vectors of a block of columns: sums of floats are what training steps wait for.
  static constexpr int kMost = std::is_integral_v<T> ? 2 : std::is_same_v<Fold<T>, Sum<T>> ? 8 : 4;
  template <int n, class Walk, class Across>
  SLIM_INLINE static void reduce(Vec<T> (&result)[n], Walk walk, Across across) {
    const Fold<T> fold[n];
    walk(fold, result);
    for (int j = 0; j < n; ++j) result[j] = across(result[j], fold[j]);
  }
};

template <class T>
struct LogSumExp {
  static constexpr bool kSliced = false;
  static constexpr int kMost = 4;
  template <int n, class Walk, class Across>
  SLIM_INLINE static void reduce(Vec<T> (&result)[n], Walk walk, Across across) {
    const Max<T> most[n];
    SumExp<T> sums[n];
    walk(most, result);
    for (int j = 0; j < n; ++j) sums[j].shift = finite_shift(across(result[j], most[j]));
    walk(sums, result);
    for (int j = 0; j < n; ++j) {
      result[j] = sums[j].shift + log(across(result[j], sums[j]));
    }
  }
};

// Into how many slices a reduction over the batch is cut.
template <class T, class Walk>
int64_t slices(const Walk& walk, int64_t rows) {
  const int64_t units = walk.units(rows), bytes = walk.terms(rows) * int64_t{sizeof(T)};
  return slices_of(units, units * bytes / kTaskBytes);
}

template <class T, class Terms, class Walk>
class ReductionLaunch final : public Launch {
 public:
  ReductionLaunch(const Binding& binding, Walk walk)
      : src_(binding.operands), dst_(binding.results[0]), walk_(std::move(walk)) {
    if (!binding.workspace.empty()) partial_ = binding.workspace[0];
    split_ = Split::by_bytes(walk_.terms(capacity_of(binding)) * static_cast<int64_t>(sizeof(T)));
  }

  int64_t tasks(int64_t rows) const override {
    const int64_t units = walk_.units(rows), slices = this->slices(rows);
    return slices > 1 ? slices * units : split_.tasks(units);
  }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    const int64_t rows = context.rows, units = walk_.units(rows), slices = this->slices(rows);
    const Terms base = terms(context);
    const auto runs = walk_.runs(rows);
    if (slices > 1) {
      const int64_t slice = task / units, count = runs.count();
      const int64_t unit = task % units;
      T* dst = partial_->in<T>(context) + slice * walk_.results(rows) + walk_.result(unit);
      walk_.reduce(base, runs, unit, count * slice / slices, count * (slice + 1) / slices, dst);
      return;
    }
    T* dst = dst_.in<T>(context);
    const int64_t first = split_.first(task), last = split_.last(task, units);
    if constexpr (Walk::kShort) {
      if (runs.count() == 1 && dst_.row_stride == 0) {
        return walk_.reduce_short(base, first, last, rows, dst);
      }
    }
    for (int64_t unit = first; unit < last; ++unit) {
      walk_.reduce(base, runs, unit, 0, runs.count(), dst + dst_.at(walk_.result(unit)));
    }
  }

  Cost cost(int64_t rows) const override {
    const auto n = static_cast<double>(src_[0].count(rows));
    const double flops = std::is_pointer_v<Terms> ? 1 : 2;
    return {flops * n, static_cast<double>(src_.size()) * n * sizeof(T)};
  }

 private:
  int64_t slices(int64_t rows) const {
    return partial_ ? slim::SLIM_ISA_NAMESPACE::slices<T>(walk_, rows) : 1;
  }
  Terms terms(const Context& context) const {
    if constexpr (std::is_same_v<Terms, Products<T>>) {
      return {src_[0].in<T>(context), src_[1].in<T>(context)};
    } else {
      return {src_[0].in<T>(context)};
    }
  }

  std::vector<Buffer> src_;
  Buffer dst_;
  std::optional<Buffer> partial_;  // [slices, results]: of a reduction that may be cut
  Walk walk_;
  Split split_;
};

// Merges the slices' results, in order.
template <class T, class Walk, class Fold>
class MergeSlices final : public Launch {
 public:
  MergeSlices(const Binding& binding, Walk walk)
      : partial_(binding.workspace[0]), dst_(binding.results[0]), walk_(std::move(walk)) {}

  int64_t tasks(int64_t) const override { return 1; }

  void run(const Context& context, int64_t, std::byte*) const noexcept override {
    const int64_t slices = this->slices(context.rows), n = walk_.results(context.rows);
    if (slices == 1) return;
    const T* partial = partial_.in<T>(context);
    T* dst = dst_.in<T>(context);
    const bool apart = dst_.row_stride > 0;
    visit_runs(0, n, apart ? dst_.dims.back() : n, dst_.row_stride,
               [=](int64_t at, int64_t first, int64_t count) {
                 merge(partial + first, n, slices, dst + at, count);
               });
  }

  Cost cost(int64_t rows) const override {
    const auto n = static_cast<double>(slices(rows) * walk_.results(rows));
    return {n, n * sizeof(T)};
  }

 private:
  int64_t slices(int64_t rows) const { return slim::SLIM_ISA_NAMESPACE::slices<T>(walk_, rows); }

  // `count` results, of which each slice has one `stride` elements further.
  static void merge(const T* partial, int64_t stride, int64_t slices, T* dst, int64_t count) {
    const Fold fold;
    for (int64_t i = 0; i < count; i += kLanes<T>) {
      Vec<T> v = load(partial + i);
      for (int64_t slice = 1; slice < slices; ++slice) {
        v = fold.merge(v, load(partial + slice * stride + i));
      }
      store_first(dst + i, v, std::min<int64_t>(kLanes<T>, count - i));
    }
  }

  Buffer partial_, dst_;
  Walk walk_;
};

// The operand's axes; reduced ones are 1 in the result or absent.
ReductionAxes axes_of(const Binding& binding) {
  const Buffer& src = binding.operands[0];
  std::vector<bool> reduced(src.dims.size(), false);
  for (const int64_t axis : binding.integers("axes")) reduced[static_cast<size_t>(axis)] = true;
  ReductionAxes axes(src, binding.results[0], reduced);
  // Nothing to fold but unit axes: a fold over one line.
  if (!axes.line_reduced && axes.reduced.empty()) axes.reduced.push_back({Count{}, 0});
  return axes;
}

// The two phases of a kernel, for the element type, the reduction and the terms that a binding
// comes down to.
struct Sizes {
  const Binding& binding;

  template <class T, class Terms, class Reduction>
  std::vector<int64_t> run(const ReductionAxes& axes) const {
    if constexpr (Reduction::kSliced) {
      if (axes.over_batch) {
        if (axes.line_reduced) return of<T>(Lines<T, Terms, Reduction>(axes));
        return of<T>(Columns<T, Terms, Reduction>(axes));
      }
    }
    return {};
  }

 private:
  template <class T, class Walk>
  std::vector<int64_t> of(const Walk& walk) const {
    const int64_t rows = capacity_of(binding), count = slices<T>(walk, rows);
    if (count == 1) return {};
    return {count * walk.results(rows) * static_cast<int64_t>(sizeof(T))};
  }
};

struct Launches {
  const Binding& binding;

  template <class T, class Terms, class Reduction>
  Prepared run(const ReductionAxes& axes) const {
    if (axes.line_reduced) return of<T, Terms, Reduction>(Lines<T, Terms, Reduction>(axes));
    return of<T, Terms, Reduction>(Columns<T, Terms, Reduction>(axes));
  }

 private:
  template <class T, class Terms, class Reduction, class Walk>
  Prepared of(const Walk& walk) const {
    Prepared prepared(std::make_unique<ReductionLaunch<T, Terms, Walk>>(binding, walk));
    if constexpr (Reduction::kSliced) {
      if (!binding.workspace.empty()) {
        using Merge = MergeSlices<T, Walk, typename Reduction::Merge>;
        prepared.launches.push_back(std::make_unique<Merge>(binding, walk));
      }
    }
    return prepared;
  }
};

template <template <class> class Fold, class Phase>
auto reduce(const Binding& binding) {
  const ReductionAxes axes = axes_of(binding);
  const Phase phase{binding};
  return with_number(binding.operands[0].dtype, [&](auto zero) {
    using T = decltype(zero);
    return phase.template run<T, const T*, Plain<Fold, T>>(axes);
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
  const ReductionAxes axes = axes_of(binding);
  const Launches launches{binding};
  if (binding.operands[0].dtype == DType::f32) {
    return launches.run<float, const float*, LogSumExp<float>>(axes);
  }
  return launches.run<double, const double*, LogSumExp<double>>(axes);
}

template <class T, class Phase>
auto product_sum_of(const Binding& binding) {
  const ReductionAxes axes = axes_of(binding);
  const Phase phase{binding};
  if (binding.operands.size() == 1) return phase.template run<T, Squares<T>, Plain<Sum, T>>(axes);
  return phase.template run<T, Products<T>, Plain<Sum, T>>(axes);
}

template <class Phase>
auto product_sum(const Binding& binding) {
  const Node& sum = binding.node.regions[0].nodes[1];
  const Node alone{sum.op, binding.node.operands, binding.node.results, sum.attributes};
  const Binding plain{binding.graph, alone, binding.operands, binding.results, binding.workspace};
  return binding.operands[0].dtype == DType::f32 ? product_sum_of<float, Phase>(plain)
                                                 : product_sum_of<double, Phase>(plain);
}

}  // namespace

bool is_product_sum(const Binding& binding) {
  const Graph& region = binding.node.regions[0];
  const size_t count = binding.operands.size();
  if (count < 1 || count > 2 || region.nodes.size() != 2 || binding.results.size() != 1) {
    return false;
  }
  const Node &product = region.nodes[0], &sum = region.nodes[1];
  const Buffer &a = binding.operands[0], &b = binding.operands.back();
  return product.op == (count == 1 ? "square" : "mul") && product.operands == region.parameters &&
         sum.op == "reduce_sum" && sum.operands == product.results &&
         region.returns == sum.results && is_float(a) && a.dtype == b.dtype && same_shape(a, b) &&
         !binding.results[0].dims.empty();
}

std::vector<int64_t> product_sum_workspace(const Binding& binding) {
  return product_sum<Sizes>(binding);
}

Prepared prepare_product_sum(const Binding& binding) { return product_sum<Launches>(binding); }

SLIM_KERNEL(reduce_sum, reduce<Sum, Launches>, reduce<Sum, Sizes>);
SLIM_KERNEL(reduce_max, prepare_extreme<Max>, reduce<Max, Sizes>);
SLIM_KERNEL(reduce_min, prepare_extreme<Min>, reduce<Min, Sizes>);
SLIM_KERNEL(logsumexp, prepare_logsumexp);

}  // namespace slim::SLIM_ISA_NAMESPACE
