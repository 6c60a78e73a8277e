// Looks for the split of the axes that lets most operands be scalars, rows, columns or full.
#include "kernels/space.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

namespace slim {

SpaceFinder::Size SpaceFinder::size_in_space(const Buffer& buffer) {
  Size size{1, buffer.per_row > 0};
  for (const int64_t dim : buffer.dims) size.count *= dim;
  if (size.by_row) size.count = size.count / buffer.dims[0] * buffer.per_row;
  return size;
}

void SpaceFinder::add(const Buffer& buffer) {
  const Size size = size_in_space(buffer);
  // Where one broadcasts to none, the whole is what has none, and of those all other axes.
  const auto reach = [](const Buffer& b, const Size& s) {
    int64_t others = 1;
    for (const int64_t dim : b.dims) others *= std::max<int64_t>(dim, 1);
    return std::tuple(s.count == 0, s.by_row, s.count, others);
  };
  const bool larger = whole_ == nullptr || reach(buffer, size) > reach(*whole_, size_);
  if (larger || (size == size_ && buffer.dims.size() > whole_->dims.size())) {
    whole_ = &buffer;
    size_ = size;
  }
}

Space SpaceFinder::split(const std::vector<const Buffer*>& buffers, SpaceSplit wish) {
  if (whole_ == nullptr) return {};
  for (size_t i = 0; i < whole_->dims.size(); ++i) {
    const bool by_row = i == 0 && whole_->per_row > 0;
    if (whole_->dims[i] != 1 || by_row) kept_.push_back(i);
  }
  const bool columns = wish == SpaceSplit::last_axis && !kept_.empty() &&
                       kept_.back() == whole_->dims.size() - 1 &&
                       (kept_.back() > 0 || whole_->per_row == 0);
  // A last axis of size 1 is none of the kept ones, and there is one column then.
  const size_t most = wish == SpaceSplit::last_axis ? kept_.size() - columns : kept_.size();
  const size_t least = wish == SpaceSplit::last_axis ? most : whole_->per_row > 0 ? 1 : 0;
  std::optional<std::pair<int, int>> best;
  // From the right: flat (n = 1) where nothing asks for a row or a column.
  for (size_t at = most + 1; at-- > least;) {
    std::pair cost{0, 0};  // strided, repeated
    for (const Buffer* buffer : buffers) {
      const auto lie = this->lie(*buffer, at);
      cost.first += !lie;
      cost.second += lie && lie->repeat > 1;
    }
    if (best && cost >= *best) continue;
    best = cost;
    at_ = at;
  }
  Space space;
  for (size_t i = 0; i < kept_.size(); ++i) {
    const bool by_row = i == 0 && whole_->per_row > 0;
    const int64_t dim = whole_->dims[kept_[i]];
    if (by_row) space.per_row = whole_->per_row;
    if (i >= at_)
      space.n *= dim;
    else if (!by_row)
      space.outer *= dim;
  }
  return space;
}

std::vector<int64_t> SpaceFinder::axes() const {
  std::vector<int64_t> axes;
  for (const size_t i : kept_) axes.push_back(whole_->dims[i]);
  return axes;
}

std::vector<int64_t> SpaceFinder::strides(const Buffer& buffer) const {
  const std::vector<bool> varies = presence(buffer);
  std::vector<int64_t> strides(kept_.size(), 0);
  int64_t stride = 1;
  bool in_row = buffer.row_stride > 0;  // not yet beyond its last axis
  for (size_t i = kept_.size(); i-- > 0;) {
    const bool last = kept_[i] + 1 == whole_->dims.size();
    if (in_row && !last) {
      stride = buffer.row_stride;
      in_row = false;
    }
    if (!varies[i]) continue;
    strides[i] = stride;
    stride *= whole_->dims[kept_[i]];
  }
  return strides;
}

// Which kept axes the buffer has, by numpy's rule: aligned from the right.
std::vector<bool> SpaceFinder::presence(const Buffer& buffer) const {
  if (size_in_space(buffer) == size_) return std::vector<bool>(kept_.size(), true);
  std::vector<bool> varies(kept_.size(), false);
  const size_t rank = buffer.dims.size(), whole = whole_->dims.size();
  if (rank > whole) misfit(buffer);
  for (size_t i = 0; i < rank; ++i) {
    const size_t axis = i + whole - rank;
    const bool by_row = i == 0 && buffer.per_row > 0;
    if (buffer.dims[i] == 1 && !by_row) continue;
    const bool same =
        buffer.dims[i] == whole_->dims[axis] && by_row == (axis == 0 && whole_->per_row > 0);
    const auto kept = std::find(kept_.begin(), kept_.end(), axis);
    if (!same || kept == kept_.end()) misfit(buffer);
    varies[static_cast<size_t>(kept - kept_.begin())] = true;
  }
  return varies;
}

std::optional<Lie> SpaceFinder::lie(const Buffer& buffer, size_t at) const {
  const std::vector<bool> varies = presence(buffer);
  int outer = 0, inner = 0;
  for (size_t i = 0; i < varies.size(); ++i) (i < at ? outer : inner) += varies[i];
  const int outers = static_cast<int>(at), inners = static_cast<int>(varies.size() - at);
  const bool whole_outer = outer == outers && outers > 0;
  const bool whole_inner = inner == inners && inners > 0;
  if (inner == 0 && outer > 0 && !whole_outer && std::is_sorted(varies.rbegin(), varies.rend())) {
    Lie lie{Extent::column};
    for (size_t i = static_cast<size_t>(outer); i < at; ++i) lie.repeat *= whole_->dims[kept_[i]];
    return lie;
  }
  if ((outer > 0 && !whole_outer) || (inner > 0 && !whole_inner)) return std::nullopt;
  Extent extent = Extent::scalar;
  if (whole_outer) extent = extent | Extent::column;
  if (whole_inner) extent = extent | Extent::row;
  // A side without axes has one element: what varies on the other varies everywhere.
  if (extent != Extent::scalar && (outers == 0 || inners == 0)) extent = Extent::full;
  return Lie{extent};
}

void SpaceFinder::misfit(const Buffer& buffer) const {
  const auto text = [](const Buffer& b) {
    std::string s = std::string(name_of(b.dtype)) + "[";
    for (size_t i = 0; i < b.dims.size(); ++i) {
      s += (i ? "," : "") + std::to_string(b.dims[i]);
    }
    return s + "]";
  };
  binding_.refuse("an operand or result " + text(buffer) + " does not broadcast to " +
                  text(*whole_));
}

}  // namespace slim
