// The short road: one function, arrays bound in advance, nothing to look up.
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
  static constexpr size_t kMostSources = 16;

  // A source of rows, C-contiguous.
  struct Given {
    const std::byte* data;
    SourceType type;  // f32, f64, u8, i32 or i64
  };

  // `sources` are the names of what `run` is given, in its order; a function may read some of
  // them. Throws std::invalid_argument where it needs others, sparse rows or parts of rows,
  // mixes rows, or returns more than one array of rows. `packed` as in Forward.
  Predictor(std::shared_ptr<const Model> model, const std::string& function,
            const std::vector<std::string>& sources, Arrays arrays, Hypers hypers, int threads,
            std::shared_ptr<PackedArrays> packed = nullptr);

  size_t sources() const { return shapes_.size(); }
  // Of a row of a source; null where the function does not read it.
  const std::vector<int64_t>* row_shape(size_t source) const {
    return shapes_[source] ? &*shapes_[source] : nullptr;
  }
  DType dtype() const { return dtype_; }
  const std::vector<int64_t>& row_shape() const { return row_shape_; }  // of the result

  // Whether so many rows take less than handing a lock over.
  bool brief(int64_t rows) const { return rows <= kBriefRows && !one_->pays && !elsewhere_; }
  // On another device, for whose memory any lane may ask who keeps the lock.
  bool elsewhere() const { return elsewhere_; }

  // `result` has rows × row_shape elements. False: a source has a value that is not finite, or
  // not in the type that the function reads, or an index out of range. Throws Interrupted, but
  // not for a few rows.
  bool run(const Given* sources, int64_t rows, std::byte* result, const Interrupt& interrupt) const;

 private:
  struct Read {  // an input of the function
    std::string name;
    size_t source;
    std::vector<int64_t> row;  // its shape
    int64_t count;             // of its elements
    DType dtype;               // that the function reads
  };

  struct Bound {
    BoundPlan plan;
    bool pays;  // to run by several lanes, where there are many
  };
  static constexpr int64_t kBriefRows = 8;

  Bound bind(std::shared_ptr<const Plan> plan) const;
  bool run_long(const Given* sources, int64_t rows, std::byte* result,
                const Interrupt& interrupt) const;

  std::shared_ptr<const Model> model_;
  std::string function_;
  Arrays arrays_;
  Hypers hypers_;
  int threads_;
  std::shared_ptr<PackedArrays> packed_;  // of the arrays; null: somebody may write to them
  bool elsewhere_;                        // the arrays are copied to the device for each call
  std::vector<Read> reads_;
  std::vector<std::optional<std::vector<int64_t>>> shapes_;  // by source
  std::optional<Bound> one_;  // which has a gather for each input and type
  std::optional<Bound> many_;
  DType dtype_ = DType::f64;
  std::vector<int64_t> row_shape_;
  int64_t row_bytes_ = 0;
};

}  // namespace slim
