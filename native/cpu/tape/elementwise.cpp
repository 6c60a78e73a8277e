// `fused` and every lone elementwise op: launches of the tape over rows.
#include <algorithm>

#include "cpu/kernel_set.h"
#include "cpu/reduce/product_sum.h"
#include "cpu/tape/tape.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

// What a task is worth: about half a microsecond of light work, or one block of the tape.
constexpr double kTaskWork = 2 * 1024;

class Elementwise final : public Launch {
 public:
  Elementwise(const Binding& binding, const Graph& region)
      : runner_(binding, region, binding.operands, binding.results) {
    const int64_t n = std::max<int64_t>(runner_.space().n, 1);
    const double work = std::max(1.0, 0.25 * runner_.flops_per_element());
    const int64_t rows = static_cast<int64_t>(kTaskWork / work) / n;
    const int64_t block = std::max<int64_t>(kTapeBlock / n, 1);
    task_rows_ = std::max<int64_t>(rows / block, 1) * block;
  }

  int64_t tasks(int64_t rows) const override {
    if (runner_.sums()) return 1;
    return std::max<int64_t>((runner_.space().m(rows) + task_rows_ - 1) / task_rows_, 1);
  }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    run_all(context, task, task + 1, local);
  }

  // Neighbours are one window: scalars and rows are computed once for all of them.
  void run_all(const Context& context, int64_t first, int64_t last,
               std::byte* local) const noexcept override {
    const int64_t m = runner_.space().m(context.rows);
    const int64_t end = runner_.sums() ? m : std::min(m, last * task_rows_);
    runner_.run(context, {first * task_rows_, end, 0, runner_.space().n}, local);
  }

  Cost cost(int64_t rows) const override {
    const double elements =
        static_cast<double>(runner_.space().m(rows)) * static_cast<double>(runner_.space().n);
    return {runner_.flops_per_element() * elements, runner_.bytes_per_element() * elements};
  }

  int64_t local_bytes() const override { return runner_.local_bytes(); }

 private:
  TapeRunner runner_;
  int64_t task_rows_ = 1;
};

Prepared prepare_fused(const Binding& binding) {
  if (binding.node.regions.empty()) binding.refuse("needs a region");
  if (is_product_sum(binding)) return prepare_product_sum(binding);
  return std::make_unique<Elementwise>(binding, binding.node.regions[0]);
}

std::vector<int64_t> fused_workspace(const Binding& binding) {
  if (is_product_sum(binding)) return product_sum_workspace(binding);
  return {};
}

Prepared prepare_elementwise(const Binding& binding) {
  return std::make_unique<Elementwise>(binding, region_of(binding.graph, binding.node));
}

}  // namespace

SLIM_KERNEL(fused, prepare_fused, fused_workspace);
#define FORMULA(name, operands, types, result, cost) SLIM_KERNEL(name, prepare_elementwise);
#define SPECIAL(name, operands, type_rule, row_rule) SLIM_KERNEL(name, prepare_elementwise);
#define COPY(name) SLIM_KERNEL(name, prepare_elementwise);
#include "ir/elementwise.def"

}  // namespace slim::SLIM_ISA_NAMESPACE
