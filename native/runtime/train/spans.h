// Which plan a step takes, and which rows of its batch: a table of spans of steps.
#pragma once

#include <string>
#include <vector>

#include "runtime/call/bound_plan.h"
#include "runtime/data/batches.h"
#include "runtime/data/buckets.h"
#include "runtime/plan/model.h"

namespace slim {

// How a batch is cut: the ranks share it, and each takes its share in parts.
struct Cut {
  int64_t rows = INT64_MAX;  // of a part, about
  int rank = 0;
  int ranks = 1;
};

class Spans {
 public:
  struct Bound {
    BoundPlan plan;
    Plan::Lease call;  // after its plan: it ends before
  };
  // Rows of a batch that run at once.
  struct Part {
    int64_t offset;  // from the batch's first row
    int64_t rows;
    size_t bound;  // of the smallest bucket
  };
  // Steps that are alike: their batches have so many rows over all ranks, in these parts.
  struct Span {
    int64_t first, last;  // steps
    int64_t rows;
    std::vector<Part> parts;  // none: all rows of these steps are other ranks'
  };

  // `runs`: how many steps a region has.
  Spans(const Model& model, const std::string& function, const BatchRule& rule, const Cut& cut,
        const std::vector<Source>& sources, const std::vector<uint32_t>& index,
        const Arrays& arrays, uint32_t seed, int threads, int64_t runs);

  // Of the spans there are one or two: all batches but the last, and the last.
  const Span& of(int64_t step) const { return step < table_[0].last ? table_[0] : table_.back(); }
  // `rows` are those of the part.
  const Bound& of(const Part& part, const uint32_t* rows) const noexcept {
    return bound_[place_of(part, rows)];
  }
  size_t place_of(const Part& part, const uint32_t* rows) const noexcept {
    return part.bound * buckets_.count() + buckets_.of(rows, part.rows);
  }
  size_t buckets() const { return buckets_.count(); }
  const std::vector<Span>& table() const { return table_; }
  const std::vector<Bound>& bound() const { return bound_; }
  // Whether a step is more than one part, or less.
  bool cut() const;
  int lanes() const { return lanes_; }

 private:
  Buckets buckets_;
  std::vector<Span> table_;
  // For each bucket one plan for all parts or, where plans are exact, for each size.
  std::vector<Bound> bound_;
  int lanes_ = 1;
};

}  // namespace slim
