// The launches of a reduction: over all of it or over slices of it, which another one merges.
#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "cpu/reduce/reductions.h"
#include "cpu/rows.h"

namespace slim::SLIM_ISA_NAMESPACE {

// Into how many slices a reduction over the batch is cut.
template <class T, class Walk>
int64_t slices(const Walk& walk, int64_t rows) {
  const int64_t units = walk.units(rows), bytes = walk.terms(rows) * int64_t{sizeof(T)};
  return slices_of(units, units * bytes / kTaskBytes);
}

// Where a reduction reads and stores: a buffer for each part of its results.
struct Ends {
  std::vector<Buffer> src, dst;
  std::vector<Buffer> partial = {};  // [slices, results]: of a reduction that may be cut
  std::optional<Buffer> known = {};  // of each result, before (Start)
  int64_t capacity = 1;
};

template <class T, class Terms, class Reduction, class Walk>
class ReductionLaunch final : public Launch {
  static constexpr int kResults = kParts<typename Reduction::Value>;

 public:
  ReductionLaunch(Ends ends, Walk walk) : ends_(std::move(ends)), walk_(std::move(walk)) {
    const auto size = static_cast<int64_t>(sizeof(T)) * kResults;
    split_ = Split::by_bytes(walk_.terms(ends_.capacity) * size);
  }

  int64_t tasks(int64_t rows) const override {
    const int64_t units = walk_.units(rows), slices = this->slices(rows);
    return slices > 1 ? slices * units : split_.tasks(units);
  }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    const int64_t rows = context.rows, units = walk_.units(rows), slices = this->slices(rows);
    const Terms base = terms(context);
    const auto runs = walk_.runs(rows);
    const T* known = ends_.known ? ends_.known->in<T>(context) : nullptr;
    const auto reduction = [&](int64_t unit) {
      return Reduction({runs.terms(), known ? known + ends_.known->at(walk_.result(unit)) : known});
    };
    Places<T, kResults> dst;
    if (slices > 1) {
      const int64_t slice = task / units, count = runs.count(), unit = task % units;
      const int64_t at = slice * walk_.results(rows) + walk_.result(unit);
      for (int i = 0; i < kResults; ++i) dst.at[i] = ends_.partial[i].in<T>(context) + at;
      const int64_t first = count * slice / slices, last = count * (slice + 1) / slices;
      walk_.reduce(reduction(unit), base, runs, unit, first, last, dst);
      return;
    }
    bool apart = false;
    for (int i = 0; i < kResults; ++i) {
      dst.at[i] = ends_.dst[i].in<T>(context);
      apart = apart || ends_.dst[i].row_stride > 0;
    }
    const int64_t first = split_.first(task), last = split_.last(task, units);
    if constexpr (Walk::kShort) {
      if (runs.count() == 1 && !apart && known == nullptr) {
        return walk_.reduce_short(reduction(0), base, first, last, rows, dst);
      }
    }
    for (int64_t unit = first; unit < last; ++unit) {
      Places<T, kResults> to = dst;
      for (int i = 0; i < kResults; ++i) to.at[i] += ends_.dst[i].at(walk_.result(unit));
      walk_.reduce(reduction(unit), base, runs, unit, 0, runs.count(), to);
    }
  }

  Cost cost(int64_t rows) const override {
    const auto n = static_cast<double>(ends_.src[0].count(rows));
    const double flops = (std::is_pointer_v<Terms> ? 1 : 2) * kResults;
    return {flops * n, static_cast<double>(ends_.src.size()) * n * sizeof(T)};
  }

 private:
  int64_t slices(int64_t rows) const {
    return ends_.partial.empty() ? 1 : slim::SLIM_ISA_NAMESPACE::slices<T>(walk_, rows);
  }
  Terms terms(const Context& context) const {
    const T* a = ends_.src[0].in<T>(context);
    if constexpr (std::is_pointer_v<Terms>) {
      return a;
    } else if constexpr (Terms::kOperands == 2) {
      return {a, ends_.src[1].in<T>(context)};
    } else {
      return {a};
    }
  }

  Ends ends_;
  Walk walk_;
  Split split_;
};

// Merges the slices' results, in order.
template <class T, class Walk, class Fold>
class MergeSlices final : public Launch {
 public:
  MergeSlices(Ends ends, Walk walk) : ends_(std::move(ends)), walk_(std::move(walk)) {}

  int64_t tasks(int64_t) const override { return 1; }

  void run(const Context& context, int64_t, std::byte*) const noexcept override {
    const int64_t slices = this->slices(context.rows), n = walk_.results(context.rows);
    if (slices == 1) return;
    for (size_t i = 0; i < ends_.dst.size(); ++i) {
      const Buffer& to = ends_.dst[i];
      const T* partial = ends_.partial[i].in<T>(context);
      T* dst = to.in<T>(context);
      visit_runs(0, n, to.row_stride > 0 ? to.dims.back() : n, to.row_stride,
                 [=](int64_t at, int64_t first, int64_t count) {
                   merge(partial + first, n, slices, dst + at, count);
                 });
    }
  }

  Cost cost(int64_t rows) const override {
    const auto n = static_cast<double>(slices(rows) * walk_.results(rows)) *
                   static_cast<double>(ends_.dst.size());
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

  Ends ends_;
  Walk walk_;
};

// The operand's axes; reduced ones are 1 in the results or absent.
inline ReductionAxes axes_of(const Binding& binding) {
  const Buffer& src = binding.operands[0];
  std::vector<bool> reduced(src.dims.size(), false);
  for (const int64_t axis : binding.integers("axes")) reduced[static_cast<size_t>(axis)] = true;
  ReductionAxes axes(src, binding.results, reduced);
  // Nothing to fold but unit axes: a fold over one line.
  if (!axes.line_reduced && axes.reduced.empty()) axes.reduced.push_back({Count{}, 0});
  return axes;
}

// Calls use(walk) for the axes of a binding.
template <class T, class Reduction, class Use>
auto with_walk(const ReductionAxes& axes, Use use) {
  if (axes.line_reduced) return use(Lines<T>(axes));
  return use(Columns<T, Reduction::kMost>(axes));
}

template <class T, class Terms, class Reduction, class Walk>
void add_launches(Prepared& prepared, const Walk& walk, const Ends& ends) {
  using Whole = ReductionLaunch<T, Terms, Reduction, Walk>;
  prepared.launches.push_back(std::make_unique<Whole>(ends, walk));
  if constexpr (Reduction::kSliced) {
    if (ends.partial.empty()) return;
    using Merge = MergeSlices<T, Walk, typename Reduction::Merge>;
    prepared.launches.push_back(std::make_unique<Merge>(ends, walk));
  }
}

// The two phases of a kernel, for the element type, the terms and the reduction that a binding
// comes down to.
struct Sizes {
  const Binding& binding;

  template <class T, class Terms, class Reduction>
  std::vector<int64_t> run() const {
    const ReductionAxes axes = axes_of(binding);
    if (!Reduction::kSliced || !axes.over_batch) return {};
    return with_walk<T, Reduction>(axes, [&](const auto& walk) -> std::vector<int64_t> {
      const int64_t rows = capacity_of(binding), count = slices<T>(walk, rows);
      if (count == 1) return {};
      const int64_t bytes = count * walk.results(rows) * static_cast<int64_t>(sizeof(T));
      return std::vector<int64_t>(kParts<typename Reduction::Value>, bytes);
    });
  }
};

struct Launches {
  const Binding& binding;

  template <class T, class Terms, class Reduction>
  Prepared run() const {
    return with_walk<T, Reduction>(axes_of(binding), [&](const auto& walk) {
      Prepared prepared;
      add_launches<T, Terms, Reduction>(prepared, walk,
                                        {.src = binding.operands,
                                         .dst = binding.results,
                                         .partial = binding.workspace,
                                         .capacity = capacity_of(binding)});
      return prepared;
    });
  }
};

}  // namespace slim::SLIM_ISA_NAMESPACE
