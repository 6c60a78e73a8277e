// Reductions over any axes: reduce_sum, also of products, reduce_max, reduce_min, logsumexp. The
// order of the terms depends on the shape alone, so a kept row has the same bits in every batch.
#include <type_traits>
#include <utility>

#include "cpu/check.h"
#include "cpu/kernel_set.h"
#include "cpu/reduce/product_sum.h"
#include "cpu/reduce/reduction_axes.h"
#include "cpu/reduce/reduction_runs.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

// A reduction of n vectors side by side: walk(folds, partial) folds all terms lane by lane;
// across(v, fold) folds the lanes where these are terms of one result.
template <template <class> class Fold>
struct Plain {
  template <class T>
  struct Of {
    // Vectors of a block of columns: sums of floats are what training steps wait for.
    static constexpr int kMost = std::is_integral_v<T>             ? 2
                                 : std::is_same_v<Fold<T>, Sum<T>> ? 8
                                                                   : 4;
    template <int n, class Walk, class Across>
    SLIM_INLINE static void reduce(Vec<T> (&result)[n], Walk walk, Across across) {
      const Fold<T> fold[n];
      walk(fold, result);
      for (int j = 0; j < n; ++j) result[j] = across(result[j], fold[j]);
    }
  };
};

template <class T>
struct LogSumExp {
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

// Terms: const T*, or Squares<T> of the operand, or Products<T> of two.
template <class T, class Terms>
class ReductionLaunch : public Launch {
 public:
  ReductionLaunch(const Binding& binding, ReductionAxes axes)
      : src_(binding.operands), dst_(binding.results[0]), axes_(std::move(axes)) {}

  Cost cost(int64_t rows) const override {
    const auto n = static_cast<double>(src_[0].count(rows));
    const double flops = std::is_pointer_v<Terms> ? 1 : 2;
    return {flops * n, static_cast<double>(src_.size()) * n * sizeof(T)};
  }

 protected:
  Terms terms(const Context& context) const {
    if constexpr (std::is_same_v<Terms, Products<T>>) {
      return {src_[0].in<T>(context), src_[1].in<T>(context)};
    } else {
      return {src_[0].in<T>(context)};
    }
  }

  std::vector<Buffer> src_;
  Buffer dst_;
  ReductionAxes axes_;
  Split split_;
};

// Neighbours in memory become one: [kept, line].
template <class T, class Terms, class Reduction>
class LineLaunch final : public ReductionLaunch<T, Terms> {
  using Base = ReductionLaunch<T, Terms>;
  using Base::axes_;
  using Base::split_;

 public:
  LineLaunch(const Binding& binding, ReductionAxes axes) : Base(binding, std::move(axes)) {
    int64_t terms = axes_.line.size.fixed;
    for (const ReductionAxis& axis : axes_.reduced) terms *= axis.size.fixed;
    split_ = Split::by_bytes(terms * sizeof(T));
  }

  int64_t tasks(int64_t rows) const override { return split_.tasks(product_of(axes_.kept, rows)); }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    const int64_t rows = context.rows;
    const int64_t last = split_.last(task, product_of(axes_.kept, rows));
    const int64_t lines = product_of(axes_.reduced, rows), n = axes_.line.size(rows);
    const Terms base = this->terms(context);
    T* dst = this->dst_.template in<T>(context);
    for (int64_t i = split_.first(task); i < last; ++i) {
      const Terms src = base + offset_of(axes_.kept, i);
      Vec<T> result[1];
      Reduction::reduce(
          result,
          [&](const auto& fold, Vec<T>(&partial)[1]) [[gnu::always_inline]] {
            partial[0] = fold[0].start();
            for (int64_t j = 0; j < lines; ++j) {
              partial[0] = fold[0].merge(
                  partial[0], fold_line<T>(src + offset_of(axes_.reduced, j), n, fold[0]));
            }
          },
          [](Vec<T> v, const auto& fold) [[gnu::always_inline]] {
            return fold_all(v, [&](Vec<T> a, Vec<T> b) { return fold.merge(a, b); });
          });
      dst[i] = result[0][0];
    }
  }
};

// Lines become one line: [kept, reduced, line], the line cut into blocks of whole vectors.
template <class T, class Terms, class Reduction>
class ColumnsLaunch final : public ReductionLaunch<T, Terms> {
  using Base = ReductionLaunch<T, Terms>;
  using Base::axes_;
  using Base::split_;
  static constexpr int kMost = Reduction::kMost;

 public:
  ColumnsLaunch(const Binding& binding, ReductionAxes axes) : Base(binding, std::move(axes)) {
    const int64_t vectors = vectors_of(axes_.line.size.fixed, kLanes<T>);
    blocks_ = (vectors + kMost - 1) / kMost;
    block_ = blocks_ > 0 ? (vectors + blocks_ - 1) / blocks_ : 1;
    strip_ = axes_.reduced.back();
    axes_.reduced.pop_back();
    int64_t terms = strip_.size.fixed;
    for (const ReductionAxis& axis : axes_.reduced) terms *= axis.size.fixed;
    split_ = Split::by_bytes(terms * block_ * kVectorBytes);
  }

  int64_t tasks(int64_t rows) const override {
    return split_.tasks(product_of(axes_.kept, rows) * blocks_);
  }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    const int64_t rows = context.rows, line = axes_.line.size.fixed;
    const int64_t last = split_.last(task, product_of(axes_.kept, rows) * blocks_);
    const Terms base = this->terms(context);
    T* dst = this->dst_.template in<T>(context);
    for (int64_t unit = split_.first(task); unit < last; ++unit) {
      const int64_t i = unit / blocks_, column = unit % blocks_ * block_ * kLanes<T>;
      const int64_t n = std::min(line - column, block_ * kLanes<T>);
      const Terms src = base + offset_of(axes_.kept, i) + column;
      const auto sizes = std::make_integer_sequence<int, kMost>();
      dispatch(src, dst + i * line + column, n, rows, sizes);
    }
  }

 private:
  template <int... less>
  void dispatch(Terms src, T* dst, int64_t n, int64_t rows,
                std::integer_sequence<int, less...>) const {
    const int64_t vectors = vectors_of(n, kLanes<T>);
    ((vectors == less + 1 ? block<less + 1>(src, dst, n, rows) : void()), ...);
  }

  template <int kVectors>
  void block(Terms src, T* dst, int64_t n, int64_t rows) const {
    const int64_t strips = product_of(axes_.reduced, rows), lines = strip_.size(rows);
    Vec<T> result[kVectors];
    Reduction::reduce(
        result,
        [&](const auto& fold, Vec<T>(&total)[kVectors]) [[gnu::always_inline]] {
          for (Vec<T>& v : total) v = fold[0].start();
          for (int64_t j = 0; j < strips; ++j) {
            fold_columns<kVectors, T>(src + offset_of(axes_.reduced, j), lines, strip_.stride, fold,
                                      total);
          }
        },
        [](Vec<T> v, const auto&) { return v; });
    for (int j = 0; j < kVectors; ++j) {
      const int64_t left = n - j * kLanes<T>;
      store_first(dst + j * kLanes<T>, result[j], std::min<int64_t>(left, kLanes<T>));
    }
  }

  ReductionAxis strip_;         // the innermost reduced axis
  int64_t blocks_, block_ = 1;  // a line has blocks_ blocks of block_ vectors or fewer
};

template <class T, class Reduction, class Terms = const T*>
std::unique_ptr<Launch> reduction(const Binding& binding, const ReductionAxes& axes) {
  if (axes.line_reduced) return std::make_unique<LineLaunch<T, Terms, Reduction>>(binding, axes);
  return std::make_unique<ColumnsLaunch<T, Terms, Reduction>>(binding, axes);
}

// The operand's axes, checked against the result: reduced ones are 1 there or absent.
ReductionAxes axes_of(const Binding& binding) {
  const Buffer& src = binding.operands[0];
  const Buffer& dst = binding.results[0];
  std::vector<bool> reduced(src.dims.size(), false);
  bool good = src.dtype == dst.dtype;
  for (const int64_t axis : binding.integers("axes")) {
    good = good && axis >= 0 && axis < static_cast<int64_t>(reduced.size()) && !reduced[axis];
    if (!good) break;
    reduced[axis] = true;
  }
  const bool keepdims = binding.flag("keepdims", false);
  size_t at = 0;
  for (size_t i = 0; good && i < reduced.size(); ++i) {
    if (reduced[i] && !keepdims) continue;
    good = at < dst.dims.size() && (reduced[i] ? dst.dims[at] == 1 && (at > 0 || dst.per_row == 0)
                                               : same_dim(src, i, dst, at));
    ++at;
  }
  if (!good || at != dst.dims.size()) {
    binding.refuse("these axes do not take " + operand_text(binding, 0) + " to " +
                   result_text(binding));
  }
  ReductionAxes axes(src, reduced);
  // Nothing to fold but unit axes: a fold over one line.
  if (!axes.line_reduced && axes.reduced.empty()) axes.reduced.push_back({Count{}, 0});
  return axes;
}

template <template <class> class Fold>
std::unique_ptr<Launch> prepare_reduce(const Binding& binding) {
  require_arity(binding, 1);
  const ReductionAxes axes = axes_of(binding);
  switch (binding.operands[0].dtype) {
    case DType::f32:
      return reduction<float, typename Plain<Fold>::template Of<float>>(binding, axes);
    case DType::f64:
      return reduction<double, typename Plain<Fold>::template Of<double>>(binding, axes);
    case DType::i32:
      return reduction<int32_t, typename Plain<Fold>::template Of<int32_t>>(binding, axes);
    case DType::i64:
      return reduction<int64_t, typename Plain<Fold>::template Of<int64_t>>(binding, axes);
    default:
      binding.refuse("needs f32, f64, i32 or i64, got " + operand_text(binding, 0));
  }
}

std::unique_ptr<Launch> prepare_logsumexp(const Binding& binding) {
  require_arity(binding, 1);
  const ReductionAxes axes = axes_of(binding);
  require_float(binding, 0);
  if (binding.operands[0].dtype == DType::f32) {
    return reduction<float, LogSumExp<float>>(binding, axes);
  }
  return reduction<double, LogSumExp<double>>(binding, axes);
}

template <class T>
std::unique_ptr<Launch> product_sum(const Binding& binding) {
  using Reduction = typename Plain<Sum>::template Of<T>;
  const ReductionAxes axes = axes_of(binding);
  if (binding.operands.size() == 1) return reduction<T, Reduction, Squares<T>>(binding, axes);
  return reduction<T, Reduction, Products<T>>(binding, axes);
}

}  // namespace

std::unique_ptr<Launch> prepare_product_sum(const Binding& binding) {
  const Graph& region = binding.node.regions[0];
  const size_t count = binding.operands.size();
  if (count < 1 || count > 2 || region.nodes.size() != 2 || binding.results.size() != 1) {
    return nullptr;
  }
  const Node &product = region.nodes[0], &sum = region.nodes[1];
  if (product.op != (count == 1 ? "square" : "mul") || product.operands != region.parameters ||
      sum.op != "reduce_sum" || sum.operands != product.results || region.returns != sum.results) {
    return nullptr;
  }
  const Buffer &a = binding.operands[0], &b = binding.operands.back();
  if (!is_float(a) || a.dtype != b.dtype || !same_shape(a, b) || binding.results[0].dims.empty()) {
    return nullptr;
  }
  const Node alone{sum.op, binding.node.operands, binding.node.results, sum.attributes};
  const Binding plain{binding.graph, alone, binding.operands, binding.results};
  return a.dtype == DType::f32 ? product_sum<float>(plain) : product_sum<double>(plain);
}

SLIM_KERNEL(reduce_sum, prepare_reduce<Sum>);
SLIM_KERNEL(reduce_max, prepare_reduce<Max>);
SLIM_KERNEL(reduce_min, prepare_reduce<Min>);
SLIM_KERNEL(logsumexp, prepare_logsumexp);

}  // namespace slim::SLIM_ISA_NAMESPACE
