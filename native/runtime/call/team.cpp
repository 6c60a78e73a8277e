// Lanes by OpenMP: the only file that knows a threading library.
#include "runtime/call/team.h"

#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string_view>
#ifdef __SANITIZE_THREAD__
#include <thread>
#include <vector>
#endif

#include "runtime/call/denormals.h"
#include "runtime/call/fork.h"
#include "runtime/call/processors.h"

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

// The stack of OpenMP's threads in bytes, 0 where the system's default holds.
size_t stack_of_lanes() {
  for (const char* name : {"OMP_STACKSIZE", "GOMP_STACKSIZE"}) {
    const char* text = std::getenv(name);
    if (text == nullptr) continue;
    char* end = nullptr;
    const unsigned long long number = std::strtoull(text, &end, 10);
    while (*end == ' ') ++end;
    const size_t unit = std::string_view("bkmg").find(static_cast<char>(*end | 0x20));
    return number << (unit == std::string_view::npos ? 10 : 10 * unit);
  }
  return 0;
}

// Starts so many threads beside this one, all at once, and ends them; whether that is possible.
bool can_start(int threads) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  const size_t stack = stack_of_lanes();
  if (stack > 0) pthread_attr_setstacksize(&attributes, stack);
  std::atomic<bool> go{false};
  const auto wait = [](void* flag) -> void* {
    static_cast<std::atomic<bool>*>(flag)->wait(false);
    return nullptr;
  };
  constexpr int kMost = 256;  // of a machine with more, so many tell
  pthread_t started[kMost];
  int count = 0;
  const int wanted = std::min(threads, kMost);
  while (count < wanted && pthread_create(&started[count], &attributes, wait, &go) == 0) ++count;
  go = true;
  go.notify_all();
  for (int i = 0; i < count; ++i) pthread_join(started[i], nullptr);
  pthread_attr_destroy(&attributes);
  return count == wanted;
}

// OpenMP ends the process where a thread cannot be made, so that is tried before it is asked
// for more than this thread's last region had.
bool has_threads(int lanes) {
  thread_local int last = 1;
  const bool there = lanes <= last || can_start(lanes - 1);
  if (there) last = lanes;
  return there;
}

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
  if (lanes <= 1 || !has_threads(lanes)) {
    const FlushDenormals flush;
    body(self, Lane(0, 1));
    return;
  }
  regions.fetch_add(1, std::memory_order_relaxed);
  Barrier barrier;
#ifdef __SANITIZE_THREAD__  // which sees no meeting of OpenMP's threads, and takes it for a race
  const auto run = [&](int index) {
    const FlushDenormals flush;
    body(self, Lane(index, lanes, &barrier));
  };
  std::vector<std::thread> others;
  for (int i = 1; i < lanes; ++i) others.emplace_back(run, i);
  run(0);
  for (std::thread& other : others) other.join();
#else
  Processors processors;
#pragma omp parallel num_threads(lanes)
  {
    processors.take();
    const FlushDenormals flush;
    const Lane lane(omp_get_thread_num(), omp_get_num_threads(), &barrier);
    body(self, lane);
    lane.barrier();  // or the first to end would spin in the region's own
  }
#endif
}

int64_t parallel_regions() { return regions; }

FlushDenormals::FlushDenormals() : saved_(floating_mode()) {
  set_floating_mode(saved_ | kFlushBits);
}

FlushDenormals::~FlushDenormals() { set_floating_mode(saved_); }

KeepDenormals::KeepDenormals() : saved_(floating_mode()) {
  set_floating_mode(saved_ & ~kFlushBits);
}

KeepDenormals::~KeepDenormals() { set_floating_mode(saved_); }

}  // namespace slim
