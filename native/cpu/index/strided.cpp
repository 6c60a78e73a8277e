// Kernels that read a source through strides: transpose (permuted) and broadcast (stride 0).
#include <algorithm>

#include "cpu/check.h"
#include "cpu/kernel_set.h"
#include "cpu/rows.h"
#include "cpu/split.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

constexpr size_t kMaxRank = 8;
constexpr int64_t kTile = 16;  // a tile of 8-byte elements is 2 KB on either side

// A dimension of the result and its strides, in elements.
struct Axis {
  Count size;
  int64_t src = 0;
  int64_t dst = 0;
};

// Unit dimensions go, neighbours that step through the source as one become one.
std::vector<Axis> collapse(const Buffer& dst, const std::vector<int64_t>& src_strides) {
  std::vector<Axis> axes;
  for (size_t i = 0; i < dst.dims.size(); ++i) {
    const Count size = count_of(dst, i, i + 1);
    if (size.per_row == 0 && size.fixed == 1) continue;
    if (!axes.empty() && axes.back().src == size.fixed * src_strides[i]) {
      axes.back().size.fixed *= size.fixed;
      axes.back().size.per_row *= size.fixed;
      axes.back().src = src_strides[i];
    } else {
      axes.push_back({size, src_strides[i], 0});
    }
  }
  int64_t stride = 1;
  for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
    axis->dst = stride;
    stride *= axis->size.fixed;
  }
  return axes;
}

// T stands for any element of its size.
template <class T>
class StridedLaunch final : public Launch {
 public:
  StridedLaunch(Buffer src, Buffer dst, std::vector<Axis> axes)
      : src_(std::move(src)), dst_(std::move(dst)) {
    if (axes.empty()) axes.push_back({Count{}, 1, 1});
    last_ = axes.back();
    axes.pop_back();
    if (last_.src > 1) {  // neighbours in the result are far apart in the source: tiles
      auto best = std::min_element(axes.begin(), axes.end(), [](const Axis& a, const Axis& b) {
        return (a.src > 0 ? a.src : INT64_MAX) < (b.src > 0 ? b.src : INT64_MAX);
      });
      if (best != axes.end() && best->src > 0 && best->size.per_row == 0) {
        near_ = *best;
        axes.erase(best);
        tiled_ = true;
      }
    }
    rank_ = static_cast<int>(axes.size());
    std::copy(axes.begin(), axes.end(), outer_);
    split_ = Split::by_bytes(2 * sizeof(T) * last_.size.fixed * std::min(near_.size.fixed, kTile));
    const int64_t leading = dst_.dims.empty() ? 0 : dst_.dims[0];
    if (leading == 0) return;
    const int64_t in_row = count_of(dst_, 1, dst_.dims.size()).fixed;  // elements
    if (rank_ == 0 && !tiled_) {
      line_in_row_ = in_row;
      return;
    }
    const bool outermost = rank_ > 0 && outer_[0].dst * outer_[0].size.fixed == leading * in_row;
    if (leading == 1 || outermost) units_in_row_ = units_at_capacity() / leading;
  }

  int64_t tasks(int64_t rows) const override { return split_.tasks(units(rows)); }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    run_units(context, split_.first(task), split_.last(task, units(context.rows)));
  }

  bool takes_rows() const override { return line_in_row_ > 0 || units_in_row_ > 0; }

  void run_rows(const Context& context, int64_t first, int64_t last,
                std::byte*) const noexcept override {
    if (line_in_row_ > 0) {
      const int64_t begin = first * line_in_row_;
      return line(src_.in<T>(context) + begin * last_.src, dst_.in<T>(context) + begin,
                  last * line_in_row_ - begin);
    }
    run_units(context, first * units_in_row_, last * units_in_row_);
  }

  Cost cost(int64_t rows) const override {
    return {0, 2.0 * static_cast<double>(dst_.count(rows)) * sizeof(T)};
  }

 private:
  void run_units(const Context& context, int64_t first, int64_t end) const noexcept {
    const int64_t rows = context.rows, blocks = near_blocks();
    const T* src = src_.in<T>(context);
    T* dst = dst_.in<T>(context);
    if (tiled_) {
      for (int64_t unit = first; unit < end; ++unit) {
        const int64_t block = unit % blocks * kTile;
        int64_t from = block * near_.src, to = block * near_.dst;
        offsets(unit / blocks, &from, &to);
        tile(src + from, dst + to, std::min(kTile, near_.size.fixed - block));
      }
      return;
    }
    // Lines that are neighbours along an axis are a step from each other.
    const Axis alone{}, &axis = rank_ > 0 ? outer_[rank_ - 1] : alone;
    for (int64_t unit = first; unit < end;) {
      int64_t from = 0, to = 0;
      offsets(unit, &from, &to);
      const int64_t left = rank_ > 1 ? axis.size.fixed - unit % axis.size.fixed : end - unit;
      const int64_t stop = std::min(end, unit + left);
      for (; unit < stop; ++unit, from += axis.src, to += axis.dst) {
        line(src + from, dst + to, last_.size(rows));
      }
    }
  }

  int64_t near_blocks() const { return (near_.size.fixed + kTile - 1) / kTile; }

  int64_t units(int64_t rows) const {
    int64_t n = tiled_ ? near_blocks() : 1;
    for (int i = 0; i < rank_; ++i) n *= outer_[i].size(rows);
    return n;
  }

  int64_t units_at_capacity() const {
    int64_t n = tiled_ ? near_blocks() : 1;
    for (int i = 0; i < rank_; ++i) n *= outer_[i].size.fixed;
    return n;
  }

  // The first axis takes what is left, so that the row count is not needed.
  void offsets(int64_t index, int64_t* from, int64_t* to) const {
    for (int i = rank_ - 1; i >= 0; --i) {
      const int64_t size = outer_[i].size.fixed;
      const int64_t at = i == 0 ? index : index % size;
      if (i > 0) index /= size;
      *from += at * outer_[i].src;
      *to += at * outer_[i].dst;
    }
  }

  void line(const T* src, T* dst, int64_t n) const {
    if (last_.src == 1) {
      copy_bytes(reinterpret_cast<std::byte*>(dst), reinterpret_cast<const std::byte*>(src),
                 n * int64_t{sizeof(T)});
    } else if (last_.src == 0) {
      std::fill_n(dst, n, *src);
    } else {
      for (int64_t i = 0; i < n; ++i) dst[i] = src[i * last_.src];
    }
  }

  // `height` lines of the result; columns in blocks, so that the source's lines stay in L1.
  void tile(const T* src, T* dst, int64_t height) const {
    const int64_t width = last_.size.fixed;
    for (int64_t begin = 0; begin < width; begin += kTile) {
      const int64_t end = std::min(width, begin + kTile);
      for (int64_t i = 0; i < height; ++i) {
        const T* from = src + i * near_.src;
        T* to = dst + i * near_.dst;
        for (int64_t j = begin; j < end; ++j) to[j] = from[j * last_.src];
      }
    }
  }

  Buffer src_, dst_;
  Axis last_, near_;  // near_: of the other axes the one of the smallest source stride
  Axis outer_[kMaxRank];
  int rank_ = 0;
  bool tiled_ = false;
  int64_t line_in_row_ = 0;   // elements of one leading index, where all are one line
  int64_t units_in_row_ = 0;  // likewise units; 0: some hold several rows
  Split split_;
};

std::unique_ptr<Launch> strided(const Binding& binding, const std::vector<int64_t>& src_strides) {
  const Buffer& src = binding.operands[0];
  const Buffer& dst = binding.results[0];
  SLIM_ASSERT(dst.dims.size() <= kMaxRank);
  std::vector<Axis> axes = collapse(dst, src_strides);
  switch (size_of(dst.dtype)) {
    case 1:
      return std::make_unique<StridedLaunch<uint8_t>>(src, dst, std::move(axes));
    case 4:
      return std::make_unique<StridedLaunch<uint32_t>>(src, dst, std::move(axes));
    default:
      return std::make_unique<StridedLaunch<uint64_t>>(src, dst, std::move(axes));
  }
}

std::vector<int64_t> strides_of(const Buffer& buffer) {
  std::vector<int64_t> strides(buffer.dims.size());
  int64_t stride = 1;
  for (size_t i = strides.size(); i-- > 0;) {
    strides[i] = stride;
    stride = i + 1 == strides.size() ? buffer.row() : stride * buffer.dims[i];
  }
  return strides;
}

Prepared prepare_transpose(const Binding& binding) {
  const std::vector<int64_t> strides = strides_of(binding.operands[0]);
  std::vector<int64_t> permuted;
  for (const int64_t axis : binding.integers("perm")) {
    permuted.push_back(strides[static_cast<size_t>(axis)]);
  }
  return strided(binding, permuted);
}

Prepared prepare_broadcast(const Binding& binding) {
  const Buffer& src = binding.operands[0];
  const std::vector<int64_t> strides = strides_of(src);
  const size_t rank = binding.results[0].dims.size(), missing = rank - src.dims.size();
  std::vector<int64_t> stretched(rank, 0);
  for (size_t i = 0; i < src.dims.size(); ++i) {
    const bool unit = src.dims[i] == 1 && (i > 0 || src.per_row == 0);
    if (!unit) stretched[missing + i] = strides[i];
  }
  return strided(binding, stretched);
}

}  // namespace

SLIM_KERNEL(transpose, prepare_transpose);
SLIM_KERNEL(broadcast, prepare_broadcast);

}  // namespace slim::SLIM_ISA_NAMESPACE
