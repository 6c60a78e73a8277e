// Sums over each parameter's elements that the update reads as hypers: norms, means, counts.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/call/arrays.h"
#include "runtime/call/team.h"
#include "runtime/plan/plan.h"

namespace slim {

class Hypers;

// Where an update reads each of these sums: bytes from the begin of its hypers. Throws
// std::invalid_argument for one that no hyper takes.
std::vector<int64_t> places_of_sums(const std::vector<std::string>& measured, const Hypers& hypers);
// Of an update that reads them; throws std::invalid_argument.
[[noreturn]] void refuse_sums_of_rows(const RowGradient& gradient);

// Runs the function `measure` over blocks of a parameter and adds its returns up, block after
// block: the same bits for any number of lanes.
class Measure {
 public:
  // A parameter: its elements without padding, and the hypers that its update reads.
  struct Span {
    int64_t begin;
    int64_t end;
    std::byte* hyper;
  };

  // `hypers`: where in a span's hypers each return goes, in bytes.
  Measure(std::shared_ptr<const Plan> plan, std::vector<int64_t> hypers, std::vector<Span> spans,
          Arrays arrays, int64_t element_bytes, int lanes);

  // By all lanes, before any of them updates a weight.
  void run(const Lane& lane) noexcept;
  // Whether all sums are.
  bool finite() const { return finite_; }
  int64_t launches() const;

 private:
  struct Block {
    size_t span;
    int64_t begin;
    int64_t end;
  };
  void run_block(const Block& block, CallContext& call, double* sums) const noexcept;

  std::shared_ptr<const Plan> plan_;
  std::vector<int64_t> hypers_;
  std::vector<Span> spans_;
  Arrays arrays_;
  int64_t element_bytes_;
  std::vector<Block> blocks_;
  std::vector<double> partial_;  // by block, by return
  bool finite_ = true;
  std::vector<Plan::Lease> leases_;  // by lane
};

}  // namespace slim
