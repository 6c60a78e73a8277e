// By the affinity of threads, which is as it was when a lane runs.
#include "runtime/call/processors.h"

#include <sched.h>

namespace slim {

bool Processors::mark(int processor) noexcept {
  const auto at = static_cast<unsigned>(processor);
  const uint64_t bit = uint64_t{1} << at % 64;
  return (marks_[at / 64].fetch_or(bit, std::memory_order_relaxed) & bit) == 0;
}

void Processors::take() noexcept {
  const int here = sched_getcpu();
  if (here < 0 || here >= kMost || mark(here)) return;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (int other = 0; other < kMost && other < CPU_SETSIZE; ++other) {
    if (!CPU_ISSET(other, &allowed) || !mark(other)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(other, &one);
    if (sched_setaffinity(0, sizeof one, &one) == 0) {
      sched_setaffinity(0, sizeof allowed, &allowed);
    }
    return;
  }
}

}  // namespace slim
