// Runs a function over any number of rows, in chunks that several lanes may share.
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

struct ForwardOptions {
  int64_t rows = 0;   // of the call; of the sources, without an index
  int64_t chunk = 0;  // rows of one chunk; 0: the model's choice
  uint32_t seed = 0;
  int64_t step = 0;
  int threads = 1;
};

// A value of a finished call: rows of all chunks one after the other, sums added in order.
struct Returned {
  DType dtype;
  std::vector<int64_t> shape;
  Rows use = Rows::local;     // how it depends on the rows
  std::byte* data = nullptr;  // of the caller
  bool on_device = false;     // the data lie there; not of what is added up, nor without rows
};

class Forward {
 public:
  // `packed`: of these arrays, where nobody writes to them while it lives.
  Forward(std::shared_ptr<const Model> model, std::string function,
          const std::vector<Source>& sources, std::vector<uint32_t> index,
          const ForwardOptions& options, Arrays arrays, Hypers hypers,
          std::shared_ptr<PackedArrays> packed = nullptr);

  // Types and shapes of what run() fills in; set each `data` before.
  std::vector<Returned>& returns() { return returns_; }
  // The status bits that were raised. Throws Interrupted.
  uint32_t run(const Interrupt& interrupt = {});
  // Times the first chunk's launches, so many times over.
  Profile profile(int64_t rounds);

 private:
  Plan::Lease start(const BoundPlan& bound, int lanes) const;
  const BoundPlan& bound(int64_t chunk) const {
    return last_ && chunk + 1 == chunks_ ? *last_ : *bound_;
  }
  void run_chunk(int64_t chunk, CallContext& call, const Lane& lane) noexcept;
  void publish(int64_t chunk, const CallContext& call) noexcept;
  void add_up();

  std::shared_ptr<const Model> model_;
  ForwardOptions options_;
  std::vector<uint32_t> index_;
  Hypers hypers_;
  DeviceArrays arrays_;
  bool writes_;  // to them
  Symbols symbols_;
  std::vector<Rows> rows_;
  int64_t chunk_ = 1;
  int64_t chunks_ = 1;
  std::optional<BoundPlan> bound_;
  std::optional<BoundPlan> last_;  // of a shorter last chunk, where plans are exact
  std::vector<Returned> returns_;
  std::vector<Arena> partial_;  // of returns that are sums: one entry a chunk
};

}  // namespace slim
