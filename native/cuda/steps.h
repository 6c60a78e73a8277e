// Runs of steps on a GPU: a step is recorded once, and put on the stream as often as it runs.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/call.h"
#include "cuda/device.h"
#include "cuda/feed.h"
#include "cuda/launch.h"
#include "cuda/memory.h"
#include "cuda/whole.h"
#include "runtime/train/spans.h"
#include "runtime/train/steps.h"

namespace slim::cuda {

// As kernels/steps.cuh has them.
struct StepState {
  int64_t next = 0;
  int64_t first = 0;
  int64_t done = 0;
  double loss_sum = 0;
  double weight_sum = 0;
  double scale = 1;
  uint32_t status = 0;
  int32_t finite = 1;
  int32_t refused = 0;
  uint32_t bad = 0;
  int64_t part = -1;
  int64_t counts = 0;
};
struct StepPart {
  int64_t offset;
  int64_t rows;
};
struct StepSums {
  double objective, loss, weight, updates;
};
struct StepTarget {
  double* place;
  double base;
  double scale;
  int64_t column;
};
struct StepCode {
  int64_t column, begin, bits;
};
struct StepStretch {
  int64_t begin, length;
  std::byte* hypers;
};
struct StepSum {
  int64_t first, count, place;
  double* to;
};
struct StepChunk {
  std::byte* gradient;
  const std::byte* weights;
  int64_t length;
  const double* penalty;
};

// Of what only the CPU does.
[[noreturn]] inline void refuse_on_gpu(const std::string& what) {
  throw std::invalid_argument(what + ": use device=\"cpu\"");
}

// Launches of a sequence, loops unrolled; infinity where the data says which of them run, or a
// step of a loop calls the host.
double launches_of(const Plan::Sequence& sequence, bool inside = false);

// A stretch of a step, and the launch that calls the host behind it; null: it is the last.
struct RecordedPiece {
  std::unique_ptr<Recording> recording;
  const Launch* behind = nullptr;
};

// Of a call within the steps, whose verdict comes later.
struct StepCall final : Call {
  StepCall(Driver& driver, Stream& stream, Facts* facts) : Call(stream, facts), driver(driver) {}
  uint32_t finish() noexcept override {
    driver.wait(stream);
    return 0;
  }
  bool defer(const Launch& launch) noexcept override;

  Driver& driver;
  std::vector<RecordedPiece>* recorded = nullptr;  // of the step that is recorded; null: none is
  std::exception_ptr failure;                      // of that
};

// The arrays of the request lie on the device.
class CudaSteps final : public Steps {
 public:
  // Throws std::invalid_argument for what only the CPU does, DriverError, std::bad_alloc.
  CudaSteps(const CudaDevice& device, StepsRequest request);

  void begin(const uint32_t* order, const Report& so_far) override;
  const Report& run(int64_t first, int64_t last, const Rates& rates, Watch* watch) override;
  bool agree(bool stop) noexcept override { return stop; }
  void end() const override;
  Profile profile(int64_t steps, const double* rates) override;
  int lanes() const override { return 1; }
  bool alone() const override { return true; }
  int64_t launches_per_step() const override;
  int64_t scratch_bytes() const override;
  std::chrono::microseconds hold() const override { return std::chrono::milliseconds(50); }

 private:
  // A kernel of the step itself, and the pointers that it is given.
  struct Part {
    KernelText text;
    std::vector<const void*> pointers;
    std::unique_ptr<Kernel> kernel;
  };
  // Of sums over parameters: taken, and brought to where updates read them.
  struct Sums {
    Part measure, take;
  };
  // Of the plan that some steps take.
  struct OfPlan {
    Part gather, judge;
    std::unique_ptr<Part> publish;
    std::vector<Part> fetch, put;         // of each gradient that is rows
    std::unique_ptr<Part> add;            // of a part of a step
    std::vector<RecordedPiece> recorded;  // none: the host decides what runs
  };
  // Where a step's rows run one part after the other.
  struct Parts {
    Piece<std::byte> gradient;  // of one
    Piece<std::byte> kept;      // the state that the step found
    Piece<StepSums> sums;
    Piece<StepPart> table;  // of all steps but the last, then of the last
    int64_t of_last = 0;    // where these begin
    Part begin;
    std::unique_ptr<Part> keep, restore;  // null: no part sets state
    std::unique_ptr<Recording> update;    // behind the last part; null: it is not recorded
  };
  // A stretch that is updated as one.
  struct Group {
    Group(StepCall call, const Plan& plan) : call(call), plan(plan), lease(plan, 1) {}
    StepCall call;
    const Plan& plan;
    Plan::Lease lease;
  };

  // What an input reads: rows in the source's type; of ragged ones, where each begins; of sparse
  // ones the columns too; of codes, how each number is read and along which curves.
  struct Data {
    const void* rows = nullptr;
    const void* offsets = nullptr;
    const void* columns = nullptr;
    const void* reads = nullptr;
    const void* knots = nullptr;
  };

  void send_sources(const CudaDevice& device);
  const void* take_resident(const CudaDevice& device, const Gather& gather);
  Data send_sparse(const CsrRows& rows);
  void send_curves(const CodedRows& rows, Data& data);
  const void* send_bytes(const std::byte* from, int64_t bytes);
  void chunk(std::byte* gradient, const std::byte* weights, int64_t length, const double* penalty);
  void make_groups(StepsRequest& request);
  void measure(const Segment& segment, std::byte* hypers, const std::vector<int64_t>& places);
  void make_sums();
  Arrays make_room(const RowGradient& gradient);
  void make_row_parts(OfPlan& whole, const Spans::Bound& bound);
  std::unique_ptr<Parts> open_parts();
  void make_add(OfPlan& whole, const Spans::Bound& bound);
  void make_parts();
  Part part(const std::string& body, std::vector<const void*> pointers, Grid grid) const;
  void enqueue(const Part& part) const noexcept;
  // Kernel by kernel, of so many rows.
  void enqueue_step(size_t bound, int64_t rows) const noexcept;
  void enqueue_part(size_t bound, int64_t rows) const noexcept;
  void run_network(size_t bound, int64_t rows) const noexcept;
  std::vector<RecordedPiece> recorded(const std::function<void()>& enqueue);
  void record();
  bool replay(size_t bound, int64_t rows) const noexcept;  // false: it is not recorded
  bool failed() const noexcept;
  void enqueue_update(const OfPlan& whole) const noexcept;
  bool counts() const noexcept;
  bool add_parts(const Plan& plan, const CallContext& call, std::vector<WholePart>& parts) const;
  void make_whole();
  size_t bound_of(int64_t step) const noexcept;
  void enqueue_steps(int64_t first, int64_t last) noexcept;
  void enqueue_parts(int64_t step) noexcept;
  void run_some(int64_t first, int64_t last, const Rates& rates);

  Driver& driver_;
  std::shared_ptr<const Model> model_;
  StepsOptions options_;
  BatchRule rule_;
  Arrays arrays_;
  Hypers hypers_;  // on the device
  const std::vector<Scheduled> scheduled_;
  std::unique_ptr<Stream> stream_;
  Piece<Facts> facts_;
  std::unique_ptr<StepCall> call_;
  std::unique_ptr<Parts> parts_;  // null: a step's rows are one
  std::unique_ptr<Spans> spans_;
  std::vector<std::shared_ptr<const Plan>> updates_;
  std::shared_ptr<const Plan> measure_;  // null: no update reads sums over its parameter
  bool host_decides_ = false;            // what an update runs
  Piece<StepState> state_;
  std::vector<Piece<std::byte>> data_;
  std::vector<std::vector<Data>> from_;  // by bound plan, by input
  std::unique_ptr<Feed> feed_;           // null: all rows are there
  const uint32_t* host_order_ = nullptr;
  Piece<uint32_t> order_;
  Piece<double> rates_;     // of a run
  Piece<int64_t> columns_;  // of that table
  std::vector<StepTarget> target_list_;
  Piece<StepTarget> targets_;
  std::vector<Piece<std::byte>> group_hypers_;  // with l1 and l2 behind them
  std::vector<Group> groups_;
  // Where the rows that a step touches are updated: of each gradient that is rows, the room for
  // their weights and slots, that for the gradient, and its group.
  struct Room {
    int64_t parameter;  // its offset in bytes
    int64_t elements;
    size_t group;
    Piece<std::byte> arrays, gradient;
  };
  std::vector<Room> rooms_;
  std::vector<Facts> group_fact_list_;
  Piece<Facts> group_facts_;  // a refused step leaves them without rows
  std::vector<int64_t> group_lengths_;
  Piece<int64_t> lengths_;
  std::vector<StepChunk> chunk_list_;
  Piece<StepChunk> chunks_;
  std::optional<Plan::Lease> constants_;  // that such sums read
  std::vector<StepStretch> stretch_list_;
  Piece<StepStretch> stretches_;
  Piece<double> partial_;  // by stretch, by sum
  std::vector<StepSum> sum_list_;
  Piece<StepSum> sums_;
  Piece<double> squares_;
  Piece<double*> scales_;
  std::shared_ptr<Module> module_;
  Part begin_, prepare_;
  std::unique_ptr<Sums> of_sums_;     // null: no update reads any
  std::vector<OfPlan> of_plans_;      // by bound plan
  std::unique_ptr<WholeStep> whole_;  // null: a step is a recording
  bool may_skip_ = false;             // a step says whether it updates
  Report report_;
  const StreamEnd end_{driver_, *stream_};  // before all that work on it may read
};

}  // namespace slim::cuda
