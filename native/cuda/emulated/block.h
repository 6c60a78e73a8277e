// The threads of a block on one thread of the host: each runs until it waits for others.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace slim::cuda {

// As the shim has it.
struct Now {
  struct Three {
    uint32_t x, y, z;
  };
  Three thread, block, block_size, grid;
  void* dynamic;
  void (*wait)(uint32_t lanes);
  void (*meet)();
};

class BlockRunner {
 public:
  BlockRunner();
  ~BlockRunner();

  // Empty, or why the blocks cannot end. Each block runs until it ends or, where `together`, waits
  // for the others; then the next one, every other one backwards: what a kernel forgets to wait for
  // shows. What a block shares lies in one place for all, so it does not outlive a meeting.
  std::string run(void (*kernel)(const void*), const void* arguments, Now& now, bool together);

 private:
  enum class State : uint8_t { ready, at_barrier, at_lanes, at_meeting, done };
  struct Thread {
    State state = State::ready;
    uint32_t lanes = 0;
    struct Fiber* fiber = nullptr;
  };

  static void wait(uint32_t lanes);
  static void meet();
  static void pause_in(State state, uint32_t lanes);
  static void enter();
  std::string run_block(bool backwards);
  std::string run_together(int64_t blocks, size_t threads);
  void resume(size_t thread);
  bool release();

  std::vector<Thread> threads_;  // of the block whose turn it is
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  size_t running_ = 0;
  void (*kernel_)(const void*) = nullptr;
  const void* arguments_ = nullptr;
  Now* now_ = nullptr;
};

}  // namespace slim::cuda
