// A function made ready to run: kernels prepared, memory planned, nothing left to decide.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/specialise.h"
#include "kernels/kernel.h"
#include "runtime/data/source.h"
#include "runtime/device/device.h"
#include "runtime/plan/context_pool.h"
#include "runtime/plan/layout.h"
#include "runtime/plan/placing.h"

namespace slim {

// A gradient that a plan leaves as rows: of which parameter, and which sparse value it is.
struct RowGradient {
  std::string parameter;
  int64_t offset = 0;  // bytes, in the parameter arena
  int64_t rows = 0;    // of the parameter
  int64_t width = 0;   // elements of a row
  int64_t value = 0;
};

struct PlanRequest {
  std::string function;
  std::string symbol = "B";  // of the rows; P in update
  int64_t capacity = 1;
  bool exact = false;    // specialised for rows == capacity
  bool packed = false;   // what launches make of the program's arrays alone is made before calls
  bool guest = false;    // it runs within another plan, which fills its inputs
  bool compact = false;  // of update: the parameter arena is as long as the capacity
  bool told = false;     // its text is wanted
  Symbols symbols = {};  // sizes of all others
};

// A value that is not dense.
struct SparseValue {
  enum class Origin : uint8_t {
    source,   // gathered: the data says how many elements it stores
    per_row,  // one stored element a row
    sparse    // the elements, or rows, of another
  };
  Buffer buffer;
  Origin origin;
  int from;  // which other
};

// Immutable and shared by any number of calls at once.
class Plan {
 public:
  // Throws std::invalid_argument where the program cannot run, in the user's names.
  Plan(const Program& program, const Layout& layout, const PlanRequest& request,
       const Device& device, const Placing& placing = {});

  struct Branch;
  struct Loop;
  struct Visit;
  // A launch, one of two sequences, one sequence again and again, or a plan of another device.
  struct Step {
    Step();
    Step(Step&&) noexcept;
    Step& operator=(Step&&) noexcept;
    ~Step();

    std::unique_ptr<Launch> launch;
    std::unique_ptr<Branch> branch;
    std::unique_ptr<Loop> loop;
    std::unique_ptr<Visit> visit;
    std::vector<Buffer> results;  // of a node's earlier launches: its workspace
    double work = 0;              // of a launch, in flops or bytes, of a full batch
    bool barrier = false;         // lanes wait before it: it touches what another still may
    // > 0: of a loop, in which nothing else writes where it fills: so many turns fill it all.
    int64_t turns = 0;

    bool stays(int64_t turn) const { return turns > 0 && turn >= turns; }
  };
  // `set`, `grad` and `yield` of values that could not be computed where they belong.
  struct Move {
    Buffer from;
    Buffer to;
  };
  // What `grad` sets waits in scratch, laid out as in the state arena, until its step is judged.
  struct Staged {
    int64_t from = 0;  // bytes, in scratch
    int64_t to = 0;    // bytes, in the state arena
    int64_t bytes = 0;
  };
  // What runs from its first step to its last move: the function, or a region.
  struct Sequence {
    std::vector<Step> steps;
    std::vector<Move> moves;
  };
  struct Branch {
    Buffer predicate;
    Sequence then, otherwise;

    const Sequence& chosen(const CallContext& call) const {
      return read<uint8_t>(predicate, call) != 0 ? then : otherwise;
    }
  };

  // What of a value a step of a loop takes or leaves: a slice of it across one axis.
  struct Slice {
    Buffer whole;
    Buffer one;
    size_t axis = 0;
  };
  // What is read or left slice by slice of the first axis, where it lies.
  struct Moving {
    Buffer whole;
    Base base;      // of the slice
    bool stacked;   // left, not read
    int64_t apart;  // bytes from slice to slice
  };
  // A carried value that a step leaves where the next one finds it: in the slices of `second`, or
  // there and at `result` in turns; the last one at `result`.
  struct Handed {
    Buffer initial, result, second;
    Base from, to;  // where a step finds it, and where it leaves it
    bool sliced;
    int64_t apart = 0;  // bytes from slice to slice of `second`
  };
  // Where the carried values live their results are in the end. Every lane takes every step.
  struct Loop {
    int64_t length = 0;  // the most steps
    double work = 0;     // what each moves beside its launches, in bytes
    bool reverse = false;
    std::optional<Buffer> count;    // how many of them run; none: all
    std::optional<Buffer> counted;  // takes how many ran
    std::vector<Move> start;        // what is carried into the first step
    std::optional<Buffer> predicate;
    Sequence condition;  // leaves it
    Sequence body;
    std::vector<Move> carry;  // at the end of a step
    std::vector<Slice> scanned, stacked;
    std::vector<Moving> moving;  // of both, those that need no copy
    std::vector<Handed> handed;  // of what is carried
    Buffer go;                   // whether there is another step, or the one after, for all lanes
    bool draws = false;          // random numbers, of which each step has its own
    bool by_rows = false;        // lanes may take rows, each every step of its own
    bool by_lanes = false;       // nothing is copied between steps: each lane may move by itself
  };

  // What another device computes, between a copy there and a copy back. All lanes wait for it.
  struct Visit {
    std::string name;  // of its first result
    std::unique_ptr<const Plan> plan;
    size_t guest = 0;  // which of the call's guests is its context
    std::vector<Move> sent, fetched;
  };

  // What launches make of the program's arrays alone, for all calls while these stay as they are.
  struct Packed {
    std::vector<std::unique_ptr<Launch>> launches;
    std::string layout;  // plans of one program that say the same share one copy
    int64_t bytes = 0;
  };

  const Device& device() const { return device_; }
  const Packed& packed() const { return packed_; }
  const Sequence& sequence() const { return sequence_; }
  const std::vector<Step>& steps() const { return sequence_.steps; }
  const std::vector<Move>& moves() const { return sequence_.moves; }
  const std::vector<Staged>& staged() const { return staged_; }
  const std::vector<InputSlot>& inputs() const { return inputs_; }
  const std::vector<const Visit*>& visits() const { return visits_; }
  const std::vector<Buffer>& returns() const { return returns_; }
  const std::vector<RowGradient>& row_gradients() const { return row_gradients_; }
  const PlanRequest& request() const { return request_; }
  const std::string& text() const { return text_; }  // of a request to be told
  int64_t capacity() const { return request_.capacity; }
  bool exact() const { return request_.exact; }
  int64_t scratch_bytes() const { return scratch_bytes_; }
  int64_t local_bytes() const { return local_bytes_; }
  // Of a run that takes the larger one of two branches.
  int64_t launches() const;
  Cost cost(int64_t rows) const;
  // Lanes that are worth their barriers for this many rows, at most `available`, where a
  // region runs the plan so many times.
  int useful_lanes(int64_t rows, int available, int64_t runs = 1) const;

  // Makes room in a context for the stored elements that any rows of the index can have.
  // Throws std::invalid_argument for more than a batch can hold.
  void reserve(CallContext& call, const std::vector<Gather>& gathers,
               const std::vector<uint32_t>& index) const;

  // A context of this plan, with room for so many lanes, until the lease ends.
  class Lease {
   public:
    Lease(const Plan& plan, int lanes);
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Lease(Lease&& other) noexcept = default;

    CallContext& operator*() const { return *owned_; }
    CallContext* operator->() const { return owned_.get(); }

   private:
    const Plan* plan_;
    std::unique_ptr<CallContext> owned_;
    std::vector<Lease> guests_;
  };

 private:
  friend class Planner;
  // What a step reads and writes, by step.
  struct Touched {
    std::vector<std::vector<Buffer>> reads, writes;
  };
  Buffer keep(const Buffer& buffer);
  template <class MoveAt>
  void plan_moves(size_t count, MoveAt move_at);
  void stage(const Layout& layout, const std::vector<Assignment>& sets);
  static void mark_barriers(std::vector<Step>& steps, const Touched& touched);
  static void mark_turns(Loop& loop, std::vector<Buffer> written);

  const Device& device_;
  PlanRequest request_;
  Sequence sequence_;
  Packed packed_;
  std::vector<Staged> staged_;
  std::vector<InputSlot> inputs_;
  std::vector<const Visit*> visits_;
  bool loops_ = false;
  std::vector<Buffer> returns_;
  std::vector<SparseValue> sparse_;
  std::vector<RowGradient> row_gradients_;
  std::string text_;
  int64_t scratch_bytes_ = 0;
  int64_t local_bytes_ = 0;
  int64_t rewritten_bytes_ = 0;  // by the update that follows a gradient

  mutable ContextPool contexts_;
};

}  // namespace slim
