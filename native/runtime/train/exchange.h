// How ranks that train one network add up a step's gradient before they update.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "ir/graph.h"

namespace slim {

// What a rank knows of its share of a batch, and all ranks of the whole one.
struct StepFacts {
  double objective = 0;
  double loss = 0;      // Σ w·l
  double weight = 0;    // Σ w
  int64_t rows = 0;     // that went into these
  uint32_t status = 0;  // of all ranks: none updates where one refuses
  bool stop = false;    // somebody wants to end
};

// Beside the bits of launches: the ranks did not take parts of one batch.
inline constexpr uint32_t kRanksDiffer = 8;

// One fit on one rank needs none. Every rank calls `sum` as often as every other, whatever has
// happened to it.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual int rank() const = 0;
  virtual int ranks() const = 0;
  // Replaces both by their sums over the ranks, with the same bits on each of them. By one lane;
  // waits for the others.
  virtual void sum(std::byte* gradient, int64_t count, DType dtype, StepFacts& facts) noexcept = 0;
};

// Ranks that are threads of this process.
class ThreadExchange final : public Exchange {
 public:
  static std::vector<std::shared_ptr<Exchange>> make(int ranks);

  int rank() const override { return rank_; }
  int ranks() const override { return ranks_; }
  void sum(std::byte* gradient, int64_t count, DType dtype, StepFacts& facts) noexcept override;

 private:
  // Where they meet; shared by all of them.
  struct Room {
    std::mutex mutex;
    std::condition_variable changed;
    int64_t turn = 0;
    int arrived = 0;
    std::vector<std::byte*> gradients;  // by rank
    std::vector<StepFacts*> facts;
  };
  ThreadExchange(std::shared_ptr<Room> room, int rank, int ranks);

  std::shared_ptr<Room> room_;
  int rank_;
  int ranks_;
};

}  // namespace slim
