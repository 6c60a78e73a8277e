// The short road: one function, one source, arrays bound in advance, nothing to look up.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/call/bound_plan.h"
#include "runtime/call/interrupt.h"
#include "runtime/plan/model.h"
#include "runtime/train/update.h"

namespace slim {

class Predictor {
 public:
  // Throws std::invalid_argument where the function needs more than the source X, mixes
  // rows, or returns more than one array of rows.
  Predictor(std::shared_ptr<const Model> model, const std::string& function, Arrays arrays,
            Hypers hypers, int threads);

  int64_t columns() const { return columns_; }
  DType dtype() const { return dtype_; }
  const std::vector<int64_t>& row_shape() const { return row_shape_; }  // of the result

  // X is C-contiguous [rows, columns]; `result` has rows × row_shape elements. False: X has
  // a value that is not finite, or not in the type that the function reads, or an index
  // out of range. Throws Interrupted, but not for a few rows.
  bool run(const std::byte* x, SourceType type, int64_t rows, std::byte* result,
           const Interrupt& interrupt) const;

 private:
  bool run_long(const Source& source, int64_t rows, std::byte* result,
                const Interrupt& interrupt) const;

  std::shared_ptr<const Model> model_;
  std::string function_;
  Arrays arrays_;
  Hypers hypers_;
  int threads_;
  std::optional<BoundPlan> one_;  // whose gathers are X's as f32 and as f64
  std::optional<BoundPlan> many_;
  int64_t columns_ = 0;
  DType reads_ = DType::f64;
  DType dtype_ = DType::f64;
  std::vector<int64_t> row_shape_;
  int64_t row_bytes_ = 0;
};

}  // namespace slim
