// Lanes by OpenMP: the only file that knows a threading library.
#include "runtime/call/team.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "runtime/call/fork.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace slim {
namespace {

// The lanes of all calls, and how many of these calls would take more than one: in the low
// and in the high half of one number, so that two calls never take the same lane.
std::atomic<int64_t> in_use{0};
constexpr int64_t kCall = int64_t{1} << 32;

// When calls last met, and how many they were. Threads that call again and again have other
// work in between, which lanes of another call would only hold up.
std::atomic<int64_t> met{0};
std::atomic<int64_t> met_calls{1};
constexpr int64_t kRemembered = 20'000'000;  // nanoseconds

int64_t recent_calls(int64_t calls) {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  const int64_t now = std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
  const bool recent = now - met.load(std::memory_order_relaxed) < kRemembered;
  const int64_t before = recent ? met_calls.load(std::memory_order_relaxed) : 1;
  if (calls > 1) met.store(now, std::memory_order_relaxed);
  if (calls > before || !recent) met_calls.store(calls, std::memory_order_relaxed);
  return std::max(calls, before);
}

std::atomic<int64_t> regions{0};

uint64_t floating_mode() {
#if defined(__x86_64__)
  return _mm_getcsr();
#elif defined(__aarch64__)
  uint64_t mode;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
#else
  return 0;
#endif
}

void set_floating_mode([[maybe_unused]] uint64_t mode) {
#if defined(__x86_64__)
  _mm_setcsr(static_cast<uint32_t>(mode));
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" ::"r"(mode));
#endif
}

#if defined(__x86_64__)
constexpr uint64_t kFlushBits = 0x8040;  // flush to zero, denormals are zero
#elif defined(__aarch64__)
constexpr uint64_t kFlushBits = uint64_t{1} << 24;
#else
constexpr uint64_t kFlushBits = 0;
#endif

constexpr int kSpins = 4000;  // some 50 to 200 microseconds

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

int allowed_lanes(int wanted) {
  if (wanted == 1 || in_forked_child() || omp_in_parallel()) return 1;
  const int allowed = omp_get_max_threads();
  return wanted <= 0 ? allowed : std::min(wanted, allowed);
}

LaneGrant::LaneGrant(int wanted) : lanes_(1), taken_(1) {
  const int wish = allowed_lanes(wanted);
  const int64_t allowed = wish > 1 ? omp_get_max_threads() : 1;
  int64_t before = in_use.load(std::memory_order_relaxed);
  do {
    if (wish > 1) {
      const int64_t calls = recent_calls(before / kCall + 1), free = allowed - before % kCall;
      const int64_t share = (allowed + calls - 1) / calls;
      lanes_ = static_cast<int>(std::max<int64_t>(1, std::min({int64_t{wish}, free, share})));
      taken_ = kCall + lanes_;
    }
  } while (!in_use.compare_exchange_weak(before, before + taken_, std::memory_order_relaxed));
}

LaneGrant::~LaneGrant() { in_use.fetch_sub(taken_, std::memory_order_relaxed); }

// A barrier that gives its processor away soon: OpenMP's own spins for milliseconds, which on
// a busy machine takes the time of the very lane that it waits for.
struct Barrier {
  alignas(64) std::atomic<int> arrived{0};
  alignas(64) std::atomic<uint32_t> round{0};
  std::atomic<int> sleepers{0};  // to wake nobody costs more than the barrier
};

void Lane::wait() const {
  auto& [arrived, round, sleepers] = *barrier_;
  const uint32_t now = round.load(std::memory_order_relaxed);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
    arrived.store(0, std::memory_order_relaxed);
    // In one order with the sleepers' own: either they are seen here or they see the round.
    round.store(now + 1, std::memory_order_seq_cst);
    if (sleepers.load(std::memory_order_seq_cst) > 0) round.notify_all();
    return;
  }
  for (int spin = 0; spin < kSpins; ++spin) {
    if (round.load(std::memory_order_acquire) != now) return;
    pause();
  }
  sleepers.fetch_add(1, std::memory_order_seq_cst);
  round.wait(now, std::memory_order_seq_cst);
  sleepers.fetch_sub(1, std::memory_order_relaxed);
}

void run_lanes(int lanes, LaneBody body, void* self) {
  if (lanes <= 1) {
    const FlushDenormals flush;
    body(self, Lane(0, 1));
    return;
  }
  regions.fetch_add(1, std::memory_order_relaxed);
  Barrier barrier;
#pragma omp parallel num_threads(lanes)
  {
    const FlushDenormals flush;
    const Lane lane(omp_get_thread_num(), omp_get_num_threads(), &barrier);
    body(self, lane);
    lane.barrier();  // or the first to end would spin in the region's own
  }
}

int64_t parallel_regions() { return regions; }

FlushDenormals::FlushDenormals() : saved_(floating_mode()) {
  set_floating_mode(saved_ | kFlushBits);
}

FlushDenormals::~FlushDenormals() { set_floating_mode(saved_); }

}  // namespace slim
