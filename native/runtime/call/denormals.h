// Denormals as numbers, for code that is not ours.
#pragma once

#include <cstdint>

namespace slim {

// Within a scope that flushes denormals (team.h): they are numbers until this one ends.
class KeepDenormals {
 public:
  KeepDenormals();
  ~KeepDenormals();
  KeepDenormals(const KeepDenormals&) = delete;
  KeepDenormals& operator=(const KeepDenormals&) = delete;

 private:
  uint64_t saved_;
};

}  // namespace slim
