// Joining units: a search from both ends, and the order mended after it.
#include "passes/units.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace slim {
namespace {

constexpr int64_t kGap = int64_t{1} << 20;  // between two labels at first
// Of one search. More is a path in all likelihood, and not worth the time if it is none.
constexpr size_t kMostVisits = 4096;

}  // namespace

thread_local int64_t Units::visits_ = 0;

Units::Units(const Graph& graph, const std::vector<int>& producer,
             const std::vector<std::vector<int>>& readers)
    : graph_(graph), producer_(producer), readers_(readers) {
  const int count = static_cast<int>(graph.nodes.size());
  met_.assign(count, 0);
  for (int i = 0; i < count; ++i) {
    unit_of_.push_back(i);
    members_.push_back({i});
    label_.push_back(i * kGap);
    previous_.push_back(i - 1);
    next_.push_back(i + 1 < count ? i + 1 : -1);
  }
}

bool Units::join(int a, int b) {
  const bool a_first = before(a, b);
  const int first = a_first ? a : b, last = a_first ? b : a;
  const int place = find_place(first, last);
  if (place < 0) return false;
  if (place == a) {
    unlink(b);
  } else {
    unlink(a);
    label_[a] = label_[b];
    previous_[a] = previous_[b];
    next_[a] = next_[b];
    if (previous_[a] >= 0) next_[previous_[a]] = a;
    if (next_[a] >= 0) previous_[next_[a]] = a;
  }
  std::vector<int>& into = members_[a];
  const size_t middle = into.size();
  for (int i : members_[b]) {
    unit_of_[i] = a;
    into.push_back(i);
  }
  std::inplace_merge(into.begin(), into.begin() + static_cast<int64_t>(middle), into.end());
  members_[b].clear();
  return true;
}

// Where in the order the joined unit can stand once what is between them has made way: at
// `first`'s place or at `last`'s. -1: there is a path between them.
int Units::find_place(int first, int last) {
  mark_ += 2;
  End forward{true, first, last}, backward{false, last, first};
  // The smaller unit to start with: if it has no neighbours, nobody asks for the other's.
  const bool first_smaller = members_[first].size() < members_[last].size();
  End &one = first_smaller ? forward : backward, &other = first_smaller ? backward : forward;
  if (!push_neighbours(one, one.start)) return -1;
  if (!one.done() && !push_neighbours(other, other.start)) return -1;
  while (!one.done() && !other.done()) {
    if (one.next + other.next >= kMostVisits) return -1;
    for (End* end : {&one, &other}) {
      if (!end->done() && !push_neighbours(*end, end->found[end->next++])) return -1;
    }
  }
  End& closed = one.done() ? one : other;
  move(closed.found, closed.goal, closed.forward);
  return closed.goal;
}

// False when the ends meet.
bool Units::push_neighbours(End& end, int unit) {
  bool apart = true;
  const unsigned mine = end.forward ? mark_ : mark_ + 1, others = end.forward ? mark_ + 1 : mark_;
  const auto push = [&](int neighbour) {
    ++visits_;
    if (neighbour == unit || neighbour == end.start) return;
    if (neighbour == end.goal) {
      apart = apart && unit == end.start;  // one edge between them is no path through a third
      return;
    }
    const bool inside = end.forward ? before(neighbour, end.goal) : before(end.goal, neighbour);
    if (!inside || met_[neighbour] == mine) return;
    apart = apart && met_[neighbour] != others;
    met_[neighbour] = mine;
    end.found.push_back(neighbour);
  };
  for (int i : members_[unit]) {
    const Node& node = graph_.nodes[i];
    if (end.forward) {
      for (ValueId id : node.results) {
        for (int reader : readers_[id]) push(unit_of_[reader]);
      }
    } else {
      for (ValueId id : node.operands) {
        if (producer_[id] >= 0) push(unit_of_[producer_[id]]);
      }
    }
  }
  return apart;
}

// In their order, right before or right after one that is not among them.
void Units::move(std::vector<int>& units, int anchor, bool after) {
  if (units.empty()) return;
  std::sort(units.begin(), units.end(), [&](int a, int b) { return before(a, b); });
  for (int unit : units) unlink(unit);
  const int64_t count = static_cast<int64_t>(units.size());
  const auto room = [&] {
    const int low = after ? anchor : previous_[anchor], high = after ? next_[anchor] : anchor;
    const int64_t most = (count + 1) * kGap;
    if (low < 0) return std::pair(label_[high] - most, label_[high]);
    return std::pair(label_[low], high < 0 ? label_[low] + most : label_[high]);
  };
  auto [low, high] = room();
  if (high - low <= count) {
    relabel(anchor);
    std::tie(low, high) = room();
  }
  int at = after ? anchor : previous_[anchor];
  const int behind = after ? next_[anchor] : anchor;
  for (int64_t i = 0; i < count; ++i) {
    const int unit = units[static_cast<size_t>(i)];
    label_[unit] = low + (high - low) / (count + 1) * (i + 1);
    previous_[unit] = at;
    if (at >= 0) next_[at] = unit;
    at = unit;
  }
  next_[at] = behind;
  if (behind >= 0) previous_[behind] = at;
}

void Units::unlink(int unit) {
  if (previous_[unit] >= 0) next_[previous_[unit]] = next_[unit];
  if (next_[unit] >= 0) previous_[next_[unit]] = previous_[unit];
}

// Wide gaps again, in the order that `any` is in.
void Units::relabel(int any) {
  while (previous_[any] >= 0) any = previous_[any];
  int64_t label = 0;
  const int64_t gap = kGap * static_cast<int64_t>(members_.size());
  for (int unit = any; unit >= 0; unit = next_[unit]) label_[unit] = label += gap;
}

}  // namespace slim
