// What a forked child has to know: its threads did not survive, its locks must be open.
#pragma once

#include <mutex>

namespace slim {

// The lock of all caches that calls share. A fork takes it first and opens it on both sides,
// so that no child begins with a cache half written or locked by a thread it does not have.
// Hold it for a few instructions only, never while making what is cached.
std::mutex& cache_lock();

bool in_forked_child();

}  // namespace slim
