// A launch over lines of its results, each made alone: cut into tasks, or by rows of a loop.
#pragma once

#include <algorithm>

#include "cpu/split.h"

namespace slim::SLIM_ISA_NAMESPACE {

class LineLaunch : public Launch {
 public:
  // `in_row`: lines of one index of the results' leading dimension; 0 if they do not follow it.
  LineLaunch(Count lines, Split split, int64_t in_row)
      : lines_(lines), split_(split), in_row_(in_row) {}

  int64_t tasks(int64_t rows) const final { return split_.tasks(lines_(rows)); }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept final {
    run_all(context, task, task + 1, local);
  }

  void run_all(const Context& context, int64_t first, int64_t last,
               std::byte* local) const noexcept final {
    run_lines(context, split_.first(first), split_.last(last - 1, lines_(context.rows)), local);
  }

  bool takes_rows() const final { return in_row_ > 0; }

  void run_rows(const Context& context, int64_t first, int64_t last,
                std::byte* local) const noexcept final {
    run_lines(context, first * in_row_, last * in_row_, local);
  }

 protected:
  virtual void run_lines(const Context& context, int64_t first, int64_t last,
                         std::byte* local) const noexcept = 0;

 private:
  Count lines_;
  Split split_;
  int64_t in_row_;
};

// Lines of one leading index, where axes [0, axis) of a buffer count lines.
inline int64_t lines_in_row(const Buffer& buffer, size_t axis) {
  return axis > 0 ? count_of(buffer, 1, axis).fixed : 0;
}

}  // namespace slim::SLIM_ISA_NAMESPACE
