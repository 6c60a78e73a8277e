// Groups of nodes that will run as one, kept in an order that computes while groups are joined.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph.h"

namespace slim {

// Every node starts as a unit of its own, named by its index. Two units are joined only if no
// third one stands between them: it would wait for the joined unit and the joined unit for it.
//
// The order is a list of labels that rise. A unit on a path from a to b has a label between
// theirs, so a search sees that window only; it widens from both ends at once, and is over when
// they meet or one of them has nowhere to go. What that end found is moved out of the window,
// which makes the order that of the joined units.
class Units {
 public:
  Units(const Graph& graph, const std::vector<int>& producer,
        const std::vector<std::vector<int>>& readers);

  int of(int node) const { return unit_of_[node]; }
  const std::vector<int>& members(int unit) const { return members_[unit]; }  // in order
  // The unit of a takes the members of b's. False, and nothing is done, if it cannot.
  bool join(int a, int b);
  // Neighbours that all searches of this thread have looked at.
  static int64_t visits() { return visits_; }

 private:
  // One end of a search: from the first unit to readers, or from the last to producers.
  struct End {
    bool forward;
    int start, goal;
    std::vector<int> found = {};  // all that it has met, nearest first
    size_t next = 0;              // of these: whose neighbours are still to be met

    bool done() const { return next == found.size(); }
  };

  bool before(int a, int b) const { return label_[a] < label_[b]; }
  int find_place(int first, int last);
  bool push_neighbours(End& end, int unit);
  void move(std::vector<int>& units, int anchor, bool after);
  void unlink(int unit);
  void relabel(int any);

  const Graph& graph_;
  const std::vector<int>& producer_;              // by value
  const std::vector<std::vector<int>>& readers_;  // by value: nodes
  std::vector<int> unit_of_;                      // by node
  std::vector<std::vector<int>> members_;         // by unit
  std::vector<int64_t> label_;                    // by unit
  std::vector<int> previous_, next_;              // by unit: the order; -1 at its ends
  std::vector<unsigned> met_;                     // by unit: the last search end that met it
  unsigned mark_ = 0;
  static thread_local int64_t visits_;
};

}  // namespace slim
