// Sparse rows with one 1 each, at the numbered column: what a gather's gradient is a product of.
#include <algorithm>

#include "cpu/check.h"
#include "cpu/index/clamp.h"
#include "cpu/kernel_set.h"
#include "cpu/split.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

template <class T, class Id>
class CsrOneHot final : public Launch {
 public:
  explicit CsrOneHot(const Binding& binding)
      : ids_(binding.operands[0]), dst_(binding.results[0]), split_(Split::by_bytes(kRowBytes)) {}

  int64_t tasks(int64_t rows) const override { return split_.tasks(ids_.leading(rows)); }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    const int64_t all = ids_.leading(context.rows);
    const int64_t first = split_.first(task), last = split_.last(task, all);
    const Id* ids = ids_.in<Id>(context);
    const SparseBatch& dst = dst_.sparse_in(context);
    T* values = reinterpret_cast<T*>(dst.values);
    bool outside = false;
    for (int64_t i = first; i < last; ++i) {
      dst.columns[i] = static_cast<int32_t>(clamp_index(ids[i], dst_.dims[1], &outside));
      dst.offsets[i] = i;
      values[i] = T{1};
    }
    if (last == all) {
      dst.offsets[all] = all;
      *dst.count = all;
    }
    if (outside) context.raise(kBadIndex);
  }

  Cost cost(int64_t rows) const override {
    return {0, static_cast<double>(ids_.leading(rows) * kRowBytes)};
  }

 private:
  static constexpr int64_t kRowBytes = sizeof(Id) + sizeof(T) + 4 + 8;

  Buffer ids_, dst_;
  Split split_;
};

template <class T>
std::unique_ptr<Launch> csr_one_hot_of(const Binding& binding) {
  if (binding.operands[0].dtype == DType::i32) {
    return std::make_unique<CsrOneHot<T, int32_t>>(binding);
  }
  return std::make_unique<CsrOneHot<T, int64_t>>(binding);
}

Prepared prepare_csr_one_hot(const Binding& binding) {
  return binding.results[0].dtype == DType::f32 ? csr_one_hot_of<float>(binding)
                                                : csr_one_hot_of<double>(binding);
}

}  // namespace

SLIM_KERNEL(csr_one_hot, prepare_csr_one_hot);

}  // namespace slim::SLIM_ISA_NAMESPACE
