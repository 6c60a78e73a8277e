// One caller's way into a function: all memory is there before the first run.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/call/bound_plan.h"
#include "runtime/plan/model.h"
#include "runtime/train/update.h"

namespace slim {

struct SessionOptions {
  int64_t rows = 1;    // the most of a run
  int threads = 1;     // the most that a run takes
  int64_t stored = 0;  // the most elements of a sparse source of a run
  Symbols sizes;       // of open dimensions
  Symbols widths;      // columns of sources of which inputs read some
  int64_t bytes = 0;   // the most memory that it may take; 0: any
};

// A source that the function reads.
struct SessionSource {
  std::string name;
  std::vector<int64_t> shape;  // its first extent is what a run gives, where `by_row`
  bool by_row = true;
  bool sparse = false;
  int64_t row = 1;  // elements
};

// Serves one thread at a time. A run neither allocates nor throws, unless it refuses its data.
class Session {
 public:
  // Throws std::invalid_argument where the function has no session: where it writes to the
  // arrays, adds up over more rows than a chunk, or has sizes that nothing tells.
  Session(std::shared_ptr<const Model> model, const std::string& function,
          const SessionOptions& options, const Arrays& arrays, Hypers hypers,
          std::shared_ptr<PackedArrays> packed);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const std::vector<SessionSource>& sources() const { return sources_; }
  const std::vector<Buffer>& returns() const { return many_->plan.plan().returns(); }
  // Of a result of so many rows.
  int64_t extent(size_t result, int64_t rows) const;

  // What is given for a source: its data, or a sparse matrix.
  struct Given {
    SourceType type = SourceType::f32;
    const std::byte* data = nullptr;
    CsrArrays csr = {};
  };
  // Bits of the status; `results` has a place for each return. Throws std::invalid_argument for
  // more rows or elements than the session was made for, and for a matrix that is none.
  uint32_t run(const Given* given, int64_t rows, std::byte* const* results);

 private:
  static constexpr size_t kTypes = 9;

  struct Read {  // an input of the function
    size_t source;
    std::string where;  // leads the errors
  };
  struct Bound {
    Bound(BoundPlan bound, int lanes);

    BoundPlan plan;
    std::vector<Gather> gathers;  // of each input one for each type; of a sparse one the same
    int lanes;
    Plan::Lease call;
  };

  void read(const Plan& plan, const SessionOptions& options);
  Source source_of(const SessionSource& source, SourceType type, int64_t rows) const;
  void bind(std::optional<Bound>& bound, std::shared_ptr<const Plan> plan,
            const SessionOptions& options);
  void take(Bound& bound, const Given* given, int64_t rows);
  uint32_t run_chunk(Bound& bound, const Given* given, int64_t first, int64_t rows);

  std::shared_ptr<const Model> model_;
  Hypers hypers_;
  Arrays arrays_;
  std::shared_ptr<PackedArrays> packed_;
  bool counts_rows_;  // it reads how many rows there are
  int64_t most_rows_;
  int64_t most_stored_;
  std::vector<SessionSource> sources_;
  std::vector<Read> reads_;
  std::vector<Rows> rows_of_;  // how results depend on them
  std::optional<Bound> one_;   // of one row, where that is not the most
  std::optional<Bound> many_;  // of a chunk of the most
};

}  // namespace slim
