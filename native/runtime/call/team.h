// The threads of a call: lanes that run one body together and wait at barriers.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace slim {

// Lanes that a call which wishes for `wanted` (0: as many as it can get) would get alone. What
// OpenMP allows bounds it (OMP_NUM_THREADS, threadpoolctl), and it is 1 inside a parallel
// region or in a forked child, whose threads did not survive the fork.
int allowed_lanes(int wanted);

// The lanes that such a call gets now: calls at once share them. Hold it no longer than they
// run, so that a call that begins or ends changes what the others have.
class LaneGrant {
 public:
  explicit LaneGrant(int wanted);
  ~LaneGrant();
  LaneGrant(const LaneGrant&) = delete;
  LaneGrant& operator=(const LaneGrant&) = delete;

  int lanes() const { return lanes_; }

 private:
  int lanes_;
  int64_t taken_;
};

struct Barrier;  // what the lanes of one region count with

// One of the lanes of a parallel region. A lane alone needs no barrier.
class Lane {
 public:
  Lane(int index, int count, Barrier* barrier = nullptr)
      : index_(index), count_(count), barrier_(barrier) {}

  int index() const { return index_; }
  int count() const { return count_; }
  bool first() const { return index_ == 0; }
  void barrier() const {
    if (count_ > 1) wait();
  }
  // This lane's part of `total` tasks: a contiguous range, the same for the same count.
  int64_t begin(int64_t total) const { return total * index_ / count_; }
  int64_t end(int64_t total) const { return total * (index_ + 1) / count_; }

 private:
  void wait() const;

  int index_;
  int count_;
  Barrier* barrier_;
};

using LaneBody = void (*)(void* self, const Lane& lane) noexcept;
void run_lanes(int lanes, LaneBody body, void* self);

// Runs body(lane) on every lane; with one lane right here, without a parallel region.
// `body` must not throw: an exception cannot leave a parallel region.
template <class Body>
void run_lanes(int lanes, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  run_lanes(
      lanes, [](void* self, const Lane& lane) noexcept { (*static_cast<Plain*>(self))(lane); },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

// Parallel regions entered since the process began: a fact for tests and profiles.
int64_t parallel_regions();

// Denormals flush to zero on this thread until the scope ends, then the old mode returns.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  uint64_t saved_;
};

}  // namespace slim
