// Handlers around every fork of the process.
#include "runtime/call/fork.h"

#include <pthread.h>

#include <atomic>

namespace slim {
namespace {

std::mutex lock_of_caches;
std::atomic<bool> forked{false};

void before_fork() { lock_of_caches.lock(); }

void after_fork_in_parent() { lock_of_caches.unlock(); }

void after_fork_in_child() {
  forked = true;
  lock_of_caches.unlock();
}

[[maybe_unused]] const int at_fork =
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);

}  // namespace

std::mutex& cache_lock() { return lock_of_caches; }

bool in_forked_child() { return forked; }

}  // namespace slim
