// The iteration space of an elementwise region: its axes, and where each value varies in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/kernel.h"

namespace slim {

// Where in the iteration space [m, n] a value varies; a bit each, so | joins.
enum class Extent : uint8_t { scalar = 0, row = 1, column = 2, full = 3 };

constexpr Extent operator|(Extent a, Extent b) {
  return static_cast<Extent>(static_cast<int>(a) | static_cast<int>(b));
}

// How a value lies in that space. Of a column, `repeat` rows in a row share an element.
struct Lie {
  Extent extent = Extent::scalar;
  int64_t repeat = 1;
};

// [m, n] with m = (per_row > 0 ? per_row * rows : 1) * outer. Values that vary nowhere or
// everywhere make it flat: n = 1.
struct Space {
  int64_t per_row = 0;
  int64_t outer = 1;
  int64_t n = 1;

  int64_t m(int64_t rows) const { return (per_row > 0 ? per_row * rows : 1) * outer; }
};

// Flat, or rows and columns, as the operands ask; or always with the last axis as columns.
enum class SpaceSplit : uint8_t { best, last_axis };

// Finds the space of some buffers and where each of them varies.
class SpaceFinder {
 public:
  explicit SpaceFinder(const Binding& binding) : binding_(binding) {}

  // Borrowed: it must outlive the finder.
  void add(const Buffer& buffer);
  // After every add: the axes and the split into [m, n].
  Space split(const std::vector<const Buffer*>& buffers, SpaceSplit wish);

  // Null: neither scalar, row, column nor full.
  std::optional<Lie> lie(const Buffer& buffer) const { return lie(buffer, at_); }
  std::vector<int64_t> axes() const;
  // Of a buffer's elements along the axes; 0 where it does not vary.
  std::vector<int64_t> strides(const Buffer& buffer) const;

 private:
  struct Size {
    int64_t count = 1;
    bool by_row = false;

    bool operator==(const Size&) const = default;
  };
  static Size size_in_space(const Buffer& buffer);

  std::vector<bool> presence(const Buffer& buffer) const;
  std::optional<Lie> lie(const Buffer& buffer, size_t at) const;
  [[noreturn]] void misfit(const Buffer& buffer) const;

  const Binding& binding_;
  const Buffer* whole_ = nullptr;
  Size size_;
  std::vector<size_t> kept_;  // axes of the whole that are not 1
  size_t at_ = 0;             // of kept_: where [m, n] is split
};

}  // namespace slim
