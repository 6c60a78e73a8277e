// Hands the interpreter's lock over; parks threads that outlive the interpreter.
#include "api/lock.h"

#include <Python.h>
#include <unistd.h>

namespace slim {
namespace {

// What this thread gave back last. Not PyGILState: its state is gone before the threads are.
thread_local PyThreadState* given_back = nullptr;

void take_back() noexcept {
  python([] {
    PyEval_RestoreThread(given_back);
    return true;
  });
}

}  // namespace

void sleep_until_exit() noexcept {
  for (;;) pause();
}

Unlocked::Unlocked() { given_back = PyEval_SaveThread(); }

Unlocked::~Unlocked() { take_back(); }

Locked::Locked() { take_back(); }

Locked::~Locked() { given_back = PyEval_SaveThread(); }

}  // namespace slim
