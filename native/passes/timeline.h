// Which bytes of an arena are taken when, and the best place for some more.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "passes/stretches.h"

namespace slim {

// A tree over moments: a node knows the bytes taken at any of its moments, and those that one
// value takes at all of them. Values that live at the same time and lie side by side are one
// stretch, so a look at many moments costs little more than a look at one.
class Timeline {
 public:
  explicit Timeline(int moments) : moments_(moments), nodes_(4 * static_cast<size_t>(moments)) {}

  // Where so many bytes are free from moment `first` to `last`: the smallest gap that takes
  // them, the lowest of equal ones, else behind all.
  int64_t place(int first, int last, int64_t bytes) {
    found_.clear();
    look(0, 0, moments_ - 1, first, last);
    std::sort(found_.begin(), found_.end(),
              [](const Stretch& a, const Stretch& b) { return a.begin < b.begin; });
    looked_ += static_cast<int64_t>(found_.size());
    int64_t at = 0, best = -1, best_gap = 0;
    for (const Stretch& taken : found_) {
      const int64_t gap = taken.begin - at;
      if (gap >= bytes && (best < 0 || gap < best_gap)) {
        best = at;
        best_gap = gap;
      }
      at = std::max(at, taken.end);
    }
    return best >= 0 ? best : at;
  }

  void take(int first, int last, Stretch bytes) { take(0, 0, moments_ - 1, first, last, bytes); }

  int64_t looked() const { return looked_; }  // at stretches, by all calls of place

 private:
  struct Node {
    Stretches sometimes;  // taken at a moment below
    Stretches always;     // taken by a value that lives through all of them, and not of the parent
  };

  void add(const Stretches& stretches) {
    found_.insert(found_.end(), stretches.list().begin(), stretches.list().end());
  }

  void look(size_t node, int begin, int end, int first, int last) {
    if (first <= begin && end <= last) return add(nodes_[node].sometimes);
    add(nodes_[node].always);
    const int middle = begin + (end - begin) / 2;
    if (first <= middle) look(2 * node + 1, begin, middle, first, last);
    if (last > middle) look(2 * node + 2, middle + 1, end, first, last);
  }

  void take(size_t node, int begin, int end, int first, int last, Stretch bytes) {
    nodes_[node].sometimes.add(bytes);
    if (first <= begin && end <= last) return nodes_[node].always.add(bytes);
    const int middle = begin + (end - begin) / 2;
    if (first <= middle) take(2 * node + 1, begin, middle, first, last, bytes);
    if (last > middle) take(2 * node + 2, middle + 1, end, first, last, bytes);
  }

  int moments_;
  std::vector<Node> nodes_;
  std::vector<Stretch> found_;
  int64_t looked_ = 0;
};

}  // namespace slim
