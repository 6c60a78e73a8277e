// `fused` and every lone elementwise op: launches of the tape over rows.
#include <algorithm>
#include <memory>
#include <optional>

#include "cpu/kernel_set.h"
#include "cpu/reduce/region_sums.h"
#include "cpu/split.h"
#include "cpu/tape/gates.h"
#include "cpu/tape/tape.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

// What a task is worth: about half a microsecond of light work, or one block of the tape.
constexpr double kTaskWork = 2 * 1024;

// What a slice of the sums is worth at least.
constexpr double kSliceWork = 16 * kTaskWork;

// Rows of values that are all alike and of which some lie apart: a flat space would copy them
// together.
SpaceSplit split_of(const Binding& binding, const Graph& region) {
  const std::vector<int64_t>& dims = binding.results[0].dims;
  bool apart = false, alike = true;
  for (const auto* buffers : {&binding.operands, &binding.results}) {
    for (const Buffer& buffer : *buffers) {
      apart = apart || buffer.row_stride > 0;
      alike = alike && (buffer.dims == dims || buffer.dims.empty());
    }
  }
  const bool sums = std::any_of(region.nodes.begin(), region.nodes.end(),
                                [](const Node& node) { return node.op == "reduce_sum"; });
  return apart && alike && !sums ? SpaceSplit::last_axis : SpaceSplit::best;
}

// A tape over rows, and into how many slices it is cut where it takes totals.
struct TapeRows {
  TapeRunner runner;
  int64_t block = 1;      // rows
  int64_t task_rows = 1;  // without sums

  TapeRows(const Binding& binding, const Graph& region)
      : runner(binding, region, binding.operands, binding.results, split_of(binding, region)) {
    const int64_t n = std::max<int64_t>(runner.space().n, 1);
    const int64_t rows = static_cast<int64_t>(kTaskWork / work()) / n;
    block = std::max<int64_t>(kTapeBlock / n, 1);
    task_rows = std::max<int64_t>(rows / block, 1) * block;
  }

  double work() const { return std::max(1.0, 0.25 * runner.flops_per_element()); }
  double elements(int64_t rows) const {
    return static_cast<double>(runner.space().m(rows)) * static_cast<double>(runner.space().n);
  }
  int64_t slices(int64_t rows) const {
    return slices_of(1, static_cast<int64_t>(elements(rows) * work() / kSliceWork));
  }
};

class Elementwise final : public Launch {
 public:
  Elementwise(std::shared_ptr<const TapeRows> tape, const Binding& binding)
      : tape_(std::move(tape)) {
    if (!binding.workspace.empty()) totals_ = binding.workspace[0];
    const std::vector<int64_t>& dims = binding.results[0].dims;
    const int64_t m = tape_->runner.space().m(capacity_of(binding));
    if (tape_->runner.sums() > 0 || dims.empty() || dims[0] == 0 || m % dims[0] != 0) return;
    rows_in_row_ = m / dims[0];
  }

  int64_t tasks(int64_t rows) const override {
    if (tape_->runner.sums() > 0) return totals_ ? tape_->slices(rows) : 1;
    const int64_t m = tape_->runner.space().m(rows);
    return std::max<int64_t>((m + tape_->task_rows - 1) / tape_->task_rows, 1);
  }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    run_all(context, task, task + 1, local);
  }

  // Neighbours are one window: scalars and rows are computed once for all of them.
  void run_all(const Context& context, int64_t first, int64_t last,
               std::byte* local) const noexcept override {
    const TapeRunner& runner = tape_->runner;
    const int64_t m = runner.space().m(context.rows), n = runner.space().n;
    if (runner.sums() == 0) {
      runner.run(context, {first * tape_->task_rows, std::min(m, last * tape_->task_rows), 0, n},
                 local);
      return;
    }
    const int64_t slices = tasks(context.rows);
    if (slices == 1) {
      runner.run(context, {0, m, 0, n}, local);
      return;
    }
    const int64_t blocks = (m + tape_->block - 1) / tape_->block;
    double* totals = totals_->in<double>(context);
    for (int64_t slice = first; slice < last; ++slice) {
      const int64_t begin = blocks * slice / slices * tape_->block;
      const int64_t end = std::min(m, blocks * (slice + 1) / slices * tape_->block);
      runner.run_part(context, {begin, end, 0, n}, local, totals + slice * runner.sums());
    }
  }

  bool takes_rows() const override { return rows_in_row_ > 0; }

  void run_rows(const Context& context, int64_t first, int64_t last,
                std::byte* local) const noexcept override {
    const TapeRunner& runner = tape_->runner;
    runner.run(context, {first * rows_in_row_, last * rows_in_row_, 0, runner.space().n}, local);
  }

  Cost cost(int64_t rows) const override {
    const double elements = tape_->elements(rows);
    return {tape_->runner.flops_per_element() * elements,
            tape_->runner.bytes_per_element() * elements};
  }

  int64_t local_bytes() const override { return tape_->runner.local_bytes(); }

 private:
  std::shared_ptr<const TapeRows> tape_;
  std::optional<Buffer> totals_;  // [slices, sums], f64: of totals that may be cut
  int64_t rows_in_row_ = 0;       // of the space, in one of the results' leading dimension
};

// Adds the slices' totals, in order, and computes what depends on them.
class AddTotals final : public Launch {
 public:
  AddTotals(std::shared_ptr<const TapeRows> tape, const Buffer& totals)
      : tape_(std::move(tape)), totals_(totals) {}

  int64_t tasks(int64_t) const override { return 1; }

  void run(const Context& context, int64_t, std::byte* local) const noexcept override {
    const int64_t slices = tape_->slices(context.rows);
    if (slices == 1) return;
    tape_->runner.end_parts(context, totals_.in<double>(context), slices, local);
  }

  Cost cost(int64_t) const override { return {}; }
  int64_t local_bytes() const override { return tape_->runner.local_bytes(); }

 private:
  std::shared_ptr<const TapeRows> tape_;
  Buffer totals_;
};

Prepared prepare_tape(const Binding& binding, const Graph& region) {
  const auto tape = std::make_shared<const TapeRows>(binding, region);
  Prepared prepared(std::make_unique<Elementwise>(tape, binding));
  if (!binding.workspace.empty()) {
    prepared.launches.push_back(std::make_unique<AddTotals>(tape, binding.workspace[0]));
  }
  return prepared;
}

Prepared prepare_fused(const Binding& binding) {
  if (read_region_sums(binding)) return prepare_region_sums(binding);
  if (auto gates = prepare_gates(binding)) return std::move(*gates);
  return prepare_tape(binding, binding.node.regions[0]);
}

std::vector<int64_t> fused_workspace(const Binding& binding) {
  if (binding.node.regions.empty()) return {};
  if (read_region_sums(binding)) return region_sums_workspace(binding);
  const std::vector<Node>& nodes = binding.node.regions[0].nodes;
  if (std::none_of(nodes.begin(), nodes.end(),
                   [](const Node& node) { return node.op == "reduce_sum"; })) {
    return {};
  }
  const TapeRows tape(binding, binding.node.regions[0]);
  const int64_t slices = tape.slices(capacity_of(binding));
  if (slices == 1 || tape.runner.sums() == 0) return {};
  return {slices * tape.runner.sums() * static_cast<int64_t>(sizeof(double))};
}

Prepared prepare_elementwise(const Binding& binding) {
  return prepare_tape(binding, region_of(binding.graph, binding.node));
}

}  // namespace

SLIM_KERNEL(fused, prepare_fused, fused_workspace);
#define FORMULA(name, operands, types, result, cost) SLIM_KERNEL(name, prepare_elementwise);
#define SPECIAL(name, operands, type_rule, row_rule) SLIM_KERNEL(name, prepare_elementwise);
#define COPY(name) SLIM_KERNEL(name, prepare_elementwise);
#include "ir/elementwise.def"

}  // namespace slim::SLIM_ISA_NAMESPACE
