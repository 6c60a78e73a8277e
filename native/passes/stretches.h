// Which bytes of an arena are taken: stretches that neither overlap nor touch.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace slim {

struct Stretch {
  int64_t begin = 0, end = 0;
};

class Stretches {
 public:
  void add(Stretch added) {
    auto first = std::lower_bound(list_.begin(), list_.end(), added.begin,
                                  [](const Stretch& s, int64_t begin) { return s.end < begin; });
    auto last = first;
    for (; last != list_.end() && last->begin <= added.end; ++last) {
      added = {std::min(added.begin, last->begin), std::max(added.end, last->end)};
    }
    if (first == last) {
      list_.insert(first, added);
    } else {
      *first = added;
      list_.erase(first + 1, last);
    }
  }

  const std::vector<Stretch>& list() const { return list_; }  // by begin

 private:
  std::vector<Stretch> list_;
};

}  // namespace slim
