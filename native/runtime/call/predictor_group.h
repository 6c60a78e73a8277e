// The short road of several predictors that read columns of the same rows.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/call/predictor.h"

namespace slim {

class PredictorGroup {
 public:
  struct Member {
    std::shared_ptr<const Predictor> predictor;
    std::vector<std::vector<int64_t>> columns;  // of the rows, for each source
  };

  // Throws std::invalid_argument where there are no members, a source has another number of
  // columns than its predictor reads, or results differ in type or shape.
  PredictorGroup(std::vector<Member> members, int threads);

  size_t size() const { return members_.size(); }
  int64_t width() const { return width_; }  // the fewest columns that rows have to have
  DType dtype() const { return members_[0].predictor->dtype(); }
  const std::vector<int64_t>& row_shape() const { return members_[0].predictor->row_shape(); }
  int64_t row_numbers() const { return row_bytes_ / size_of(dtype()); }
  // Whether so many rows take less than handing a lock over.
  bool brief(int64_t rows) const { return rows <= 1 && !elsewhere_; }

  // Of each member, one behind the other, as Predictor::run has it; `columns` are those of a row.
  bool run(const float* rows, int64_t count, int64_t columns, std::byte* result) const;

 private:
  bool run_member(const Member& member, const float* rows, int64_t count, int64_t columns,
                  std::byte* result) const;

  std::vector<Member> members_;
  int threads_;
  int64_t width_ = 0;
  int64_t row_bytes_ = 0;
  bool elsewhere_ = false;  // a member is
};

}  // namespace slim
