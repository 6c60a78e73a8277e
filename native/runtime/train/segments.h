// Which stretches of the flat parameter arena an update treats alike.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "runtime/plan/layout.h"

namespace slim {

// A hyper that follows a column of the table of rates: base + scale · the column's number.
struct Scheduled {
  int64_t column = 0;
  std::string name;
  double base = 0;
  double scale = 1;

  bool operator==(const Scheduled&) const = default;
};

// A stretch of the flat parameter arena and its coefficients.
struct Segment {
  int64_t offset = 0;  // elements
  int64_t length = 0;
  std::map<std::string, double> coefficients;  // hypers that only this stretch sees
  std::vector<Scheduled> scheduled;            // of these, each added to its coefficient
  int64_t update = 0;                          // which of the update functions
  bool frozen = false;
};

// Which of so many update functions moves a segment; throws std::invalid_argument for another.
size_t check_update(const Segment& segment, size_t updates);

// Segments of equal coefficients that touch become one from `offset` on, as long as all of them
// with their padding; those that `alone` names stay as they are. Frozen and empty ones are left
// out. Throws std::invalid_argument for one outside the arena or between two parameters.
std::vector<Segment> join_segments(std::vector<Segment> segments, const Layout& layout,
                                   const std::function<bool(const Segment&)>& alone);

}  // namespace slim
