// The optimizer's step: clip, then the update function over segments of the flat arenas.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/call/arrays.h"
#include "runtime/call/team.h"
#include "runtime/plan/plan.h"
#include "runtime/train/coefficients.h"
#include "runtime/train/guard.h"
#include "runtime/train/measure.h"
#include "runtime/train/row_update.h"
#include "runtime/train/segments.h"

namespace slim {

// Hypers by name: where they live, and their values.
class Hypers {
 public:
  Hypers(const Program& program, const Layout& layout);
  Hypers copy(Memory& memory = host_memory()) const;

  void set(const std::string& name, double value);  // throws for an unknown name
  void set_if_declared(const std::string& name, double value);
  const std::byte* data() const { return values_.data(); }
  std::byte* data() { return values_.data(); }
  int64_t bytes() const { return values_.size(); }
  // Bytes from the arena's start, -1 if this program does not declare it.
  int64_t offset(const std::string& name) const;

 private:
  Hypers() = default;

  std::map<std::string, int64_t> offsets_;
  Arena values_;
};

class Updater {
 public:
  struct Clip {
    double value = 0;  // 0: none
    double norm = 0;
  };

  // Plans of each update function: `dense` over the arenas, `compact` for the gradients that are
  // rows. `measure`: of the sums that it reads, if any, as the hypers `measured`.
  struct Plans {
    std::vector<std::shared_ptr<const Plan>> dense;
    std::vector<std::shared_ptr<const Plan>> compact;
    std::shared_ptr<const Plan> measure;
    std::vector<std::string> measured;
  };

  // `hypers` are the gradient's: those that are `scheduled` change there too.
  Updater(Plans plans, const Layout& layout, Hypers& hypers, std::vector<Segment> segments,
          const std::vector<Scheduled>& scheduled, const std::vector<RowGradient>& rows,
          Arrays arrays, Clip clip, int lanes);

  // By one lane, before the others enter the gradient; `rates` is a row of the table.
  void begin(double step, const double* rates) noexcept;
  // By all lanes, after the gradient in whose context its rows are. Returns on each of them
  // the status bits it raised.
  uint32_t run(const Context& gradient, const Lane& lane) noexcept;
  // Padding between parameters back to zero: an update may have made it 0/0.
  void clean_padding(const Layout& layout) const;

  int64_t launches() const;
  Cost cost(const Context& gradient) const;

 private:
  // Segments of equal coefficients that touch, but one alone where sums are measured; empty
  // for one of rows.
  struct Group {
    int64_t begin;
    int64_t end;
    size_t update;
    Arena hyper;  // as Coefficients lays it out
  };
  struct Block {
    int32_t group;
    int64_t begin;
    int64_t end;
  };
  // Where the number of a column goes.
  struct Target {
    int64_t column;
    std::byte* place;
    double base;
    double scale;
  };
  void clip(const Context& gradient, const Lane& lane) noexcept;
  bool is_finite(const Block& block) const noexcept;
  void update_block(const Block& block, CallContext& call) const noexcept;
  void set_all(int64_t offset, double value);
  void schedule(const Coefficients::Target& target, std::byte* image);
  bool clips() const { return clip_.value > 0 || clip_.norm > 0; }
  const Plan& plan_of(const Group& group) const { return *plans_[group.update]; }
  const Group& group_of(const Block& block) const {
    return groups_[static_cast<size_t>(block.group)];
  }

  std::vector<std::shared_ptr<const Plan>> plans_;  // by update function
  DType precision_;
  Arrays arrays_;
  Clip clip_;
  std::vector<Group> groups_;
  std::vector<Block> blocks_;
  std::vector<RowUpdate> rows_;
  std::optional<Measure> measure_;
  std::vector<double> partial_;  // sums of squares, by block
  double norm_scale_ = 1;
  int64_t step_offset_, scale_offset_, penalty_at_;
  std::vector<Target> targets_;
  std::vector<std::vector<Plan::Lease>> leases_;  // by update function, by lane
};

}  // namespace slim
