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
};

class BlockRunner {
 public:
  BlockRunner();
  ~BlockRunner();

  // Empty, or why the block cannot end. `backwards`: the last thread has the first turn.
  std::string run(void (*kernel)(const void*), const void* arguments, Now& now, int threads,
                  bool backwards);

 private:
  enum class State : uint8_t { ready, at_barrier, at_lanes, done };
  struct Thread {
    State state = State::ready;
    uint32_t lanes = 0;
    struct Fiber* fiber = nullptr;
  };

  static void wait(uint32_t lanes);
  static void enter();
  void resume(int thread);
  bool release();

  std::vector<Thread> threads_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  int running_ = -1;
  void (*kernel_)(const void*) = nullptr;
  const void* arguments_ = nullptr;
  Now* now_ = nullptr;
};

}  // namespace slim::cuda
