// Kernels that go by index: gather, scatter_add, one_hot.
#include <algorithm>
#include <cstring>

#include "cpu/check.h"
#include "cpu/index/clamp.h"
#include "cpu/kernel_set.h"
#include "cpu/lines.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

template <class Id>
class GatherLaunch final : public LineLaunch {
 public:
  explicit GatherLaunch(const Binding& binding)
      : GatherLaunch(binding, count_of(binding.operands[1], 0, binding.operands[1].dims.size())) {}

  Cost cost(int64_t rows) const override {
    return {0, static_cast<double>(count_(rows)) * (2.0 * row_ + sizeof(Id))};
  }

 private:
  GatherLaunch(const Binding& binding, Count count)
      : LineLaunch(count, Split::by_bytes(2 * row_bytes(binding.operands[0])),
                   lines_in_row(binding.operands[1], binding.operands[1].dims.size())),
        table_(binding.operands[0]),
        ids_(binding.operands[1]),
        dst_(binding.results[0]),
        count_(count),
        row_(row_bytes(table_)),
        dst_row_(dst_.row_stride > 0 ? dst_.row_stride * size_of(dst_.dtype) : row_) {}

  static int64_t row_bytes(const Buffer& table) { return table.inner() * size_of(table.dtype); }

  void run_lines(const Context& context, int64_t first, int64_t last,
                 std::byte*) const noexcept override {
    const int64_t size = table_.leading(context.rows);
    const std::byte* table = table_.in<std::byte>(context);
    const Id* ids = ids_.in<Id>(context);
    std::byte* dst = dst_.in<std::byte>(context);
    bool outside = false;
    for (int64_t i = first; i < last; ++i) {
      const std::byte* src = table + clamp_index(ids[i], size, &outside) * row_;
      if (row_ == 4) {
        std::memcpy(dst + i * dst_row_, src, 4);
      } else if (row_ == 8) {
        std::memcpy(dst + i * dst_row_, src, 8);
      } else {
        std::memcpy(dst + i * dst_row_, src, row_);
      }
    }
    if (outside) context.raise(kBadIndex);
  }

  Buffer table_, ids_, dst_;
  Count count_;
  int64_t row_;      // bytes of a row of the table
  int64_t dst_row_;  // from row to row of the result
};

Prepared prepare_gather(const Binding& binding) {
  require_elements(binding, binding.operands[0], 0);
  const Buffer& ids = binding.operands[1];
  if (ids.dtype == DType::i32) return std::make_unique<GatherLaunch<int32_t>>(binding);
  return std::make_unique<GatherLaunch<int64_t>>(binding);
}

// Every task owns a range of the result's rows and reads all ids in order, so that a row's
// terms are added in ascending position whatever the number of tasks.
template <class T, class Id>
class ScatterAddLaunch final : public Launch {
 public:
  explicit ScatterAddLaunch(const Binding& binding)
      : ids_(binding.operands[0]),
        updates_(binding.operands[1]),
        dst_(binding.results[0]),
        count_(count_of(ids_, 0, ids_.dims.size())),
        inner_(dst_.inner()) {
    constexpr int64_t kMostTasks = 8;  // each reads all ids
    const int64_t size = dst_.dims[0];
    split_ = Split::by_bytes(inner_ * sizeof(T));
    split_.grain = std::max(split_.grain, (size + kMostTasks - 1) / kMostTasks);
  }

  int64_t tasks(int64_t rows) const override { return split_.tasks(dst_.leading(rows)); }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    const int64_t count = count_(context.rows), size = dst_.leading(context.rows);
    const int64_t first = split_.first(task), last = split_.last(task, size);
    const Id* ids = ids_.in<Id>(context);
    const T* updates = updates_.in<T>(context);
    T* dst = dst_.in<T>(context);
    std::fill(dst + first * inner_, dst + last * inner_, T{0});
    bool outside = false;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t index = clamp_index(ids[i], size, &outside);
      if (index < first || index >= last) continue;
      const T* src = updates + i * inner_;
      T* sum = dst + index * inner_;
      for (int64_t j = 0; j < inner_; ++j) sum[j] += src[j];
    }
    if (outside) context.raise(kBadIndex);
  }

  Cost cost(int64_t rows) const override {
    const double terms = static_cast<double>(count_(rows)) * static_cast<double>(inner_);
    return {terms, sizeof(T) * (3.0 * terms + static_cast<double>(dst_.count(rows)))};
  }

 private:
  Buffer ids_, updates_, dst_;
  Count count_;
  int64_t inner_;
  Split split_;
};

template <class T>
std::unique_ptr<Launch> scatter_add_of(const Binding& binding) {
  if (binding.operands[0].dtype == DType::i32) {
    return std::make_unique<ScatterAddLaunch<T, int32_t>>(binding);
  }
  return std::make_unique<ScatterAddLaunch<T, int64_t>>(binding);
}

Prepared prepare_scatter_add(const Binding& binding) {
  require_elements(binding, binding.results[0], 0);
  return binding.results[0].dtype == DType::f32 ? scatter_add_of<float>(binding)
                                                : scatter_add_of<double>(binding);
}

template <class T, class Id>
class OneHotLaunch final : public LineLaunch {
 public:
  explicit OneHotLaunch(const Binding& binding)
      : LineLaunch(count_of(binding.operands[0], 0, binding.operands[0].dims.size()),
                   Split::by_bytes(binding.results[0].dims.back() * int64_t{sizeof(T)}),
                   lines_in_row(binding.operands[0], binding.operands[0].dims.size())),
        ids_(binding.operands[0]),
        dst_(binding.results[0]),
        depth_(dst_.dims.back()),
        on_(static_cast<T>(binding.number("on_value", 1.0))),
        off_(static_cast<T>(binding.number("off_value", 0.0))) {}

  Cost cost(int64_t rows) const override {
    return {0, static_cast<double>(dst_.count(rows)) * sizeof(T)};
  }

 private:
  void run_lines(const Context& context, int64_t first, int64_t last,
                 std::byte*) const noexcept override {
    const Id* ids = ids_.in<Id>(context);
    T* dst = dst_.in<T>(context);
    const int64_t row = dst_.row();
    if (row == depth_) std::fill(dst + first * row, dst + last * row, off_);
    for (int64_t i = first; i < last; ++i) {
      const auto id = static_cast<int64_t>(ids[i]);
      if (row != depth_) std::fill_n(dst + i * row, depth_, off_);
      if (id >= 0 && id < depth_) dst[i * row + id] = on_;
    }
  }

  Buffer ids_, dst_;
  int64_t depth_;
  T on_, off_;
};

template <class T>
std::unique_ptr<Launch> one_hot_of(const Binding& binding) {
  if (binding.operands[0].dtype == DType::i32) {
    return std::make_unique<OneHotLaunch<T, int32_t>>(binding);
  }
  return std::make_unique<OneHotLaunch<T, int64_t>>(binding);
}

Prepared prepare_one_hot(const Binding& binding) {
  const Buffer& dst = binding.results[0];
  return dst.dtype == DType::f32 ? one_hot_of<float>(binding) : one_hot_of<double>(binding);
}

}  // namespace

SLIM_KERNEL(gather, prepare_gather);
SLIM_KERNEL(scatter_add, prepare_scatter_add);
SLIM_KERNEL(one_hot, prepare_one_hot);

}  // namespace slim::SLIM_ISA_NAMESPACE
