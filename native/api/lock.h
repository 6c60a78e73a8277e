// The interpreter's lock, handed back and asked for again around native work.
#pragma once

namespace slim {

// Where the interpreter ends while a thread of its own runs native code, CPython ends the thread
// as soon as it asks for the lock, by an unwinding that destructors, callbacks and references to
// Python's objects do not survive. Here the thread sleeps instead until the process is gone.
[[noreturn]] void sleep_until_exit() noexcept;

// Without the lock until the scope ends.
class Unlocked {
 public:
  Unlocked();
  ~Unlocked();
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;
};

// With the lock again, on a thread that is Unlocked.
class Locked {
 public:
  Locked();
  ~Locked();
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;
};

// A call of Python's C API that may run Python, from native code that must not be unwound.
template <class Call>
auto python(Call call) noexcept {
  try {
    return call();
  } catch (...) {  // C throws nothing: the interpreter ends this thread
    sleep_until_exit();
  }
}

}  // namespace slim
