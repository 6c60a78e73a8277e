// The launch that ends a gradient of filters in slices.
#pragma once

#include <memory>
#include <utility>

#include "cpu/gemm/add_slices.h"
#include "cpu/split.h"

namespace slim::SLIM_ISA_NAMESPACE {

// Adds the slices of `count()` numbers each, in order, to `filters`; one slice is there already.
template <class T, class Sums>
class AddFilterSlices final : public Launch {
 public:
  AddFilterSlices(const Binding& binding, std::shared_ptr<const Sums> sums)
      : sums_(std::move(sums)),
        partial_(binding.workspace[0]),
        split_(Split::by_bytes(kMostSlices * int64_t{sizeof(T)}, kLanes<T>)) {}

  int64_t tasks(int64_t rows) const override {
    return sums_->slices(rows) > 1 ? split_.tasks(sums_->count()) : 1;
  }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    const int64_t slices = sums_->slices(context.rows), count = sums_->count();
    if (slices == 1) return;
    const int64_t first = split_.first(task);
    add_slices(partial_.in<T>(context) + first, slices, count,
               sums_->filters.template in<T>(context) + first, split_.last(task, count) - first);
  }

  Cost cost(int64_t rows) const override {
    const double terms = static_cast<double>(sums_->slices(rows) * sums_->count());
    return {terms, terms * sizeof(T)};
  }

 private:
  std::shared_ptr<const Sums> sums_;
  Buffer partial_;
  Split split_;
};

}  // namespace slim::SLIM_ISA_NAMESPACE
