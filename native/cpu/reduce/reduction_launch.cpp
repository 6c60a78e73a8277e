// What all reductions have in common: their axes, their slices, and how these become one.
#include "cpu/reduce/reduction_launch.h"

#include <algorithm>

#include "cpu/rows.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

// Into how many slices a reduction over the batch is cut.
int64_t slices_of(const Walk& walk, int64_t size, int64_t rows) {
  const int64_t units = walk.units(rows), bytes = walk.terms(rows) * size;
  return slim::SLIM_ISA_NAMESPACE::slices_of(units, units * bytes / kTaskBytes);
}

ReductionAxes axes_of(const Binding& binding) {
  const Buffer& src = binding.operands[0];
  std::vector<bool> reduced(src.dims.size(), false);
  for (const int64_t axis : binding.integers("axes")) reduced[static_cast<size_t>(axis)] = true;
  ReductionAxes axes(src, binding.results, reduced);
  // Nothing to fold but unit axes: a fold over one line.
  if (!axes.line_reduced && axes.reduced.empty()) axes.reduced.push_back({Count{}, 0});
  return axes;
}

Walk walk_over(const ReductionAxes& axes, const ReductionKind& kind) {
  Walk walk;
  walk.lines = axes.line_reduced;
  walk.kept = axes.kept;
  walk.leads = !axes.over_batch && !axes.kept.empty();
  walk.reduced = axes.reduced;
  if (walk.lines) {
    walk.strip = axes.line;
    walk.run = kLineVectors * kind.lanes;
    return walk;
  }
  walk.strip = walk.reduced.back();
  walk.reduced.pop_back();
  walk.run = kColumnRun;
  walk.line = axes.line.size.fixed;
  const int64_t vectors = vectors_of(walk.line, kind.lanes);
  walk.blocks = (vectors + kind.most - 1) / kind.most;
  walk.width = (walk.blocks > 0 ? (vectors + walk.blocks - 1) / walk.blocks : 1) * kind.lanes;
  return walk;
}

// Merges the slices' results, in order.
class MergeSlices final : public Launch {
 public:
  MergeSlices(const Ends& ends, const Walk& walk, int64_t size, Merge merge)
      : ends_(ends), walk_(walk), size_(size), merge_(merge) {}

  int64_t tasks(int64_t) const override { return 1; }

  void run(const Context& context, int64_t, std::byte*) const noexcept override {
    const int64_t slices = slices_of(walk_, size_, context.rows);
    const int64_t n = walk_.results(context.rows);
    if (slices == 1) return;
    for (size_t i = 0; i < ends_.dst.size(); ++i) {
      const Buffer& to = ends_.dst[i];
      const auto* partial = ends_.partial[i].in<std::byte>(context);
      auto* dst = to.in<std::byte>(context);
      visit_runs(0, n, to.row_stride > 0 ? to.dims.back() : n, to.row_stride,
                 [&](int64_t at, int64_t first, int64_t count) {
                   merge_(partial + first * size_, n, slices, dst + at * size_, count);
                 });
    }
  }

  Cost cost(int64_t rows) const override {
    const auto n = static_cast<double>(slices_of(walk_, size_, rows) * walk_.results(rows)) *
                   static_cast<double>(ends_.dst.size());
    return {n, n * static_cast<double>(size_)};
  }

 private:
  Ends ends_;
  Walk walk_;
  int64_t size_;
  Merge merge_;
};

}  // namespace

Walk walk_of(const Binding& binding, const ReductionKind& kind) {
  return walk_over(axes_of(binding), kind);
}

std::vector<int64_t> slices_workspace(const Binding& binding, const ReductionKind& kind) {
  const ReductionAxes axes = axes_of(binding);
  if (!kind.sliced || !axes.over_batch) return {};
  const Walk walk = walk_over(axes, kind);
  const int64_t rows = capacity_of(binding), count = slices_of(walk, kind.size, rows);
  if (count == 1) return {};
  return std::vector<int64_t>(static_cast<size_t>(kind.results),
                              count * walk.results(rows) * kind.size);
}

ReductionLaunch::ReductionLaunch(const Ends& ends, const Walk& walk, const ReductionKind& kind)
    : ends_(ends),
      walk_(walk),
      kind_(kind),
      split_(Split::by_bytes(walk.terms(ends.capacity) * kind.size * kind.results)),
      plain_(!ends.known &&
             std::none_of(ends.dst.begin(), ends.dst.end(),
                          [](const Buffer& buffer) { return buffer.row_stride > 0; })) {
  const Buffer &src = ends_.src[0], &dst = ends_.dst[0];
  const int64_t leading = src.dims.empty() ? 0 : src.dims[0];
  const bool kept = leading > 0 && !dst.dims.empty() && dst.dims[0] == leading;
  if (!kept || (leading > 1 && !walk_.leads)) return;
  units_in_row_ = walk_.units(ends_.capacity) / leading;
}

ReductionLaunch::~ReductionLaunch() = default;

int64_t ReductionLaunch::slices(int64_t rows) const {
  return ends_.partial.empty() ? 1 : slices_of(walk_, kind_.size, rows);
}

int64_t ReductionLaunch::tasks(int64_t rows) const {
  const int64_t units = walk_.units(rows), slices = this->slices(rows);
  return slices > 1 ? slices * units : split_.tasks(units);
}

void ReductionLaunch::run(const Context& context, int64_t task, std::byte*) const noexcept {
  const int64_t rows = context.rows, units = walk_.units(rows), slices = this->slices(rows);
  if (slices > 1) {
    const int64_t count = walk_.runs(rows);
    const int64_t slice = task / units, unit = task % units;
    fold(context, {.unit = unit,
                   .last_unit = unit + 1,
                   .first = count * slice / slices,
                   .end = count * (slice + 1) / slices,
                   .slice = slice});
  } else {
    fold_whole(context, split_.first(task), split_.last(task, units));
  }
}

void ReductionLaunch::run_rows(const Context& context, int64_t first, int64_t last,
                               std::byte*) const noexcept {
  fold_whole(context, first * units_in_row_, last * units_in_row_);
}

void ReductionLaunch::fold_whole(const Context& context, int64_t unit,
                                 int64_t last_unit) const noexcept {
  const int64_t count = walk_.runs(context.rows);
  fold(context, {.unit = unit,
                 .last_unit = last_unit,
                 .first = 0,
                 .end = count,
                 .is_short = plain_ && count == 1});
}

Cost ReductionLaunch::cost(int64_t rows) const {
  const auto n = static_cast<double>(ends_.src[0].count(rows));
  const double bytes = static_cast<double>(ends_.src.size()) * n * static_cast<double>(kind_.size);
  return {kind_.flops * n, bytes};
}

void add_merge(Prepared& prepared, const Ends& ends, const Walk& walk, const ReductionKind& kind,
               Merge merge) {
  prepared.launches.push_back(std::make_unique<MergeSlices>(ends, walk, kind.size, merge));
}

}  // namespace slim::SLIM_ISA_NAMESPACE
